"""Files `frechet_*.npz`: distances from eigenvalues, 50-digit arithmetic, or singular values."""

import mpmath
import numpy as np
import scipy.linalg

from tests.parity import draws
from tests.parity.made.files import save

DIGITS = 50

# name: (n, m, d), kinds, (shift, scale), whether the sets are stored
SMALL = {
    "tall": ((60, 45, 6), ("iid", "decay"), (0.3, 1.2), True),
    "flat": ((5, 7, 40), ("mix", "relu"), (0.1, 0.8), True),
    "pair": ((2, 3, 1), ("iid", "iid"), (2.0, 1.0), True),
    "thin": ((9, 9, 24), ("lowrank", "nearsing"), (0.0, 1.0), True),
    "far": ((30, 30, 5), ("relu", "relu"), (1e4, 1.0), True),
    "same": ((50, 50, 20), ("mix", "SELF"), (0.0, 1.0), False),
    "scaled": ((70, 70, 33), ("decay", "SCALED"), (-2.0, 0.5), False),
    "wide": ((30, 41, 120), ("lowrank", "mix"), (0.2, 1.1), False),
    "near": ((90, 80, 12), ("nearsing", "iid"), (0.0, 1.3), False),
}
LARGE = {
    "big": ((700, 650, 300), ("relu", "mix"), (0.05, 1.1), False),
    "few": ((40, 300, 512), ("mix", "decay"), (0.0, 1.4), False),
    "long": ((3000, 2500, 64), ("iid", "lowrank"), (0.5, 0.9), False),
    "scaled": ((500, 500, 128), ("relu", "SCALED"), (10.0, 2.0), False),
}


def sum12(seed, key, *shape):
    draw = draws.unit(seed, key, 12 * int(np.prod(shape))).reshape(12, *shape)
    total = np.zeros(shape)
    for part in draw:
        total += part
    return total - 6


def one_set(seed, key, kind, n, d):
    z, column = sum12(seed, f"{key}.z", n, d), np.arange(d)
    if kind == "mix":
        k = max(d // 8, 2)
        return 0.3 * z + z[:, :k] @ sum12(seed, f"{key}.w", k, d) / np.sqrt(k)
    if kind == "lowrank":
        k = max(d // 16, 2)
        return z[:, :k] @ sum12(seed, f"{key}.w", k, d)
    return {
        "iid": lambda: z,
        "decay": lambda: z * 0.93**column,
        "nearsing": lambda: np.where(column >= d // 2, z * 1e-7, z),
        "relu": lambda: np.maximum(z - 0.5, 0) * (1 + column / d),
    }[kind]()


def sets(seed, name, shape, kinds, shift_scale):
    """Returns both sets in float32."""
    (n, m, d), (shift, scale) = shape, shift_scale
    x = one_set(seed, f"{name}.a", kinds[0], n, d)
    if kinds[1] == "SELF":
        y = x
    else:
        y = x if kinds[1] == "SCALED" else one_set(seed, f"{name}.b", kinds[1], m, d)
        y = y * scale + shift
    return x.astype(np.float32), y.astype(np.float32)


def centred(x):
    return x - x.mean(axis=0)


def exact_trace_sqrt(x, y):
    """Returns Tr sqrt(S1 S2) in 50 digits: eigenvalues of the smallest of the equal products."""
    with mpmath.workdps(DIGITS):
        a, b = mpmath.matrix(x.tolist()), mpmath.matrix(y.tolist())
        for rows in (a, b):
            for j in range(rows.cols):
                mean = mpmath.fsum(rows[:, j]) / rows.rows
                for i in range(rows.rows):
                    rows[i, j] -= mean
        cross = a * b.T
        gram = cross * cross.T if cross.rows <= cross.cols else cross.T * cross
        values = mpmath.eigsy(gram, eigvals_only=True)
        root = mpmath.fsum(mpmath.sqrt(value) for value in values if value > 0)
        return root / mpmath.sqrt((a.rows - 1) * (b.rows - 1))


def trace_sqrt(x, y):
    """Returns Tr sqrt(S1 S2): eigenvalues where S1 is regular, else singular values."""
    n, m = len(x), len(y)
    values = scipy.linalg.eigvalsh(np.cov(x.T).reshape(x.shape[1], -1))
    if values[0] > 1e-3 * values[-1]:
        root = scipy.linalg.sqrtm(np.cov(x.T).reshape(x.shape[1], -1)).real
        inner = root @ np.cov(y.T).reshape(root.shape) @ root
        values = scipy.linalg.eigvalsh((inner + inner.T) / 2)
        if values[0] > 1e-6 * values[-1]:
            return np.sqrt(values).sum()
    factors = []
    for rows in (centred(x), centred(y)):
        _, s, vt = scipy.linalg.svd(rows, full_matrices=False, lapack_driver="gesvd")
        factors.append(s[:, None] * vt)
    return scipy.linalg.svdvals(factors[0] @ factors[1].T).sum() / np.sqrt((n - 1) * (m - 1))


def distance_terms(x, y, exact=False):
    """Returns the expected values of a pair of float64 sets."""
    n, m = len(x), len(y)
    tr_x, tr_y = ((centred(rows) ** 2).sum() for rows in (x, y))
    mean = ((x.mean(0) - y.mean(0)) ** 2).sum()
    root = float(exact_trace_sqrt(x, y)) if exact else trace_sqrt(x, y)
    total = tr_x / (n - 1) + tr_y / (m - 1)
    shrunk = root * np.sqrt((n - 1) * (m - 1) / (n * m))
    return {
        "mean_term": mean,
        "trace_sum": total,
        "trace_sqrt": root,
        "fd_ddof1": mean + total - 2 * root,
        "fd_ddof0": mean + tr_x / n + tr_y / m - 2 * shrunk,
    }


def make(seed, cases):
    """Returns the arrays of one file."""
    arrays = {"seed": np.array(seed), "names": np.array(list(cases))}
    for name, (shape, kinds, shift_scale, stored) in cases.items():
        x, y = sets(seed, name, shape, kinds, shift_scale)
        exact = stored and min(x.shape + y.shape) <= 12
        case = {"shape": np.array(shape), "kind": np.array(kinds), "shift_scale": shift_scale}
        case |= {"x_crc32": draws.crc32(x), "y_crc32": draws.crc32(y)}
        case |= {"x": x, "y": y} if stored else {}
        terms = distance_terms(x.astype(np.float64), y.astype(np.float64), exact)
        case |= terms | ({"mp": terms["fd_ddof1"]} if exact else {})
        arrays |= {f"{name}/{key}": np.array(value) for key, value in case.items()}
    return arrays


def write(folder, small):
    """Writes the small file, or two."""
    save(folder / "frechet_small.npz", make(11, SMALL))
    if not small:
        save(folder / "frechet_large.npz", make(12, LARGE))
