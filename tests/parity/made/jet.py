"""Files `jet_*.npz`: the features of the `jet` core in NumPy, float64, one clip at a time."""

from itertools import product

import numpy as np

from tests.parity import draws
from tests.parity.made.files import save
from tests.parity.made.frechet import distance_terms

EPS = 1e-4
BLOCKS = ("layout", "texture", "motion", "dynamics")

# name: (T, H, W), pyramid levels; sets: first seed, clips, frames, side
SMALL = {
    "t9_32": ((9, 32, 32), 3),
    "t11_45x70": ((11, 45, 70), 3),
    "t10_20x31": ((10, 20, 31), 2),
    "set": (40, 9, 10, 33),
}
LARGE = {
    "t24_128x200": ((24, 128, 200), 4),
    "t13_64": ((13, 64, 64), 3),
    "t16_256": ((16, 256, 256), 5),
    "set": (4000, 31, 17, 128),
}


def moved(clip, step):
    return np.stack([np.roll(clip[0], t * step, axis=1) for t in range(len(clip))])


def cells(plane, grid=2):
    """Returns means over time and the cells of a grid; cells of odd sizes overlap."""
    plane = plane.mean(axis=0)
    edges = [[(i * n // grid, -(-(i + 1) * n // grid)) for i in range(grid)] for n in plane.shape]
    return np.array([plane[a:b, c:d].mean() for (a, b), (c, d) in product(*edges)])


def lg(x):
    return np.log(np.asarray(x) + EPS)


def lh(x):
    return np.log(np.asarray(x) + 1e-5)


def soft(energy):
    return [(energy / (energy + (tau / 255) ** 2)).mean() for tau in (2, 8, 32)]


def weighted(weight, values):
    return [(weight * v).mean() / (weight.mean() + 1e-3) for v in values]


def box(plane):
    """Returns 5x5 means at every third row and column."""
    windows = np.lib.stride_tricks.sliding_window_view(plane, (5, 5), axis=(1, 2))
    return windows[:, ::3, ::3].mean(axis=(3, 4))


def halved(plane):
    h, w = (n // 2 * 2 for n in plane.shape[1:])
    plane = plane[:, :h, :w]
    parts = [plane[:, i::2, j::2] for i, j in product((0, 1), (0, 1))]
    return sum(parts) / 4


def texture(y, u, v, ix, iy):
    energy = cells(ix**2 + iy**2)
    sides = y[:, 1:-1, :-2] + y[:, 1:-1, 2:] + y[:, :-2, 1:-1] + y[:, 2:, 1:-1]
    lap = (4 * y[:, 1:-1, 1:-1] - sides) ** 2
    jxx, jyy, jxy = box(ix[::2] ** 2), box(iy[::2] ** 2), box(ix[::2] * iy[::2])
    trace = jxx + jyy
    a, b = (jxx - jyy) / (trace + EPS), 2 * jxy / (trace + EPS)
    q = a**2 + b**2
    oriented = weighted(np.sqrt(trace), (a, b, a**2 - b**2, 2 * a * b, q, q**2))
    chroma = [lg(((c[:, :, 1:] - c[:, :, :-1]) ** 2).mean()) for c in (u, v)]
    return [*lg(energy), *(lg(cells(lap)) - lg(energy)), *soft(lap), *oriented, *chroma]


def motion(y, ix, iy):
    it = (y[1:] - y[:-1])[:, 1:-1, 1:-1]
    ax, ay = (ix[1:] + ix[:-1]) / 2, (iy[1:] + iy[:-1]) / 2
    tt, xx, yy = cells(it**2), cells(ax**2), cells(ay**2)
    along = [cells(s * it) / np.sqrt((tt + EPS) * (e + EPS)) for s, e in ((ax, xx), (ay, yy))]
    total = it**2 + ax**2 + ay**2
    r = it**2 / (total + EPS)
    shares = weighted(np.sqrt(total), (r, r**2))
    return [*(lg(tt) - lg(xx + yy)), *along[0], *along[1], *soft(it**2), *shares]


def dynamics(y):
    e = {lag: ((y[lag:] - y[:-lag]) ** 2).mean(axis=(1, 2)) for lag in (1, 2, 4, 8)}
    m1, m2, m4, m8 = (lh(e[lag].mean()) for lag in (1, 2, 4, 8))
    second = lh(((y[2:] - 2 * y[1:-1] + y[:-2]) ** 2).mean()) - m1
    n = len(e[1])
    ordered = lh(np.sort(e[1])[[0, n // 4, n // 2, 3 * n // 4, n - 1]])
    halves = lh([e[1][: n // 2].mean(), e[1][-(n // 2) :].mean()])
    return [m1, m8, m2 - m1, m4 - m1, m8 - m1, second, *ordered, *halves]


def features(clip, levels):
    """Returns the four blocks of raw features."""
    r, g, b = np.moveaxis(clip / 255.0, -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    u, v = b - y, r - y
    variances = [lg(c.var(ddof=1)) for c in (y, u, v)]
    blocks = [[*cells(y, 4), *cells(u, 4), *cells(v, 4), *variances], [], [], []]
    for level in range(levels):
        if level:
            y, u, v = halved(y), halved(u), halved(v)
        ix = (y[:, 1:-1, 2:] - y[:, 1:-1, :-2]) / 2
        iy = (y[:, 2:, 1:-1] - y[:, :-2, 1:-1]) / 2
        blocks[1] += texture(y, u, v, ix, iy)
        blocks[2] += motion(y, ix, iy)
        blocks[3] += dynamics(y)
    return [np.array(block) for block in blocks]


def case_of(seed, shape, levels):
    """Returns the entries of one case."""
    base = draws.video(seed, *shape)
    tail = moved(base, 3)
    tail[len(tail) // 2 :] = tail[len(tail) // 2]
    clips = [base, moved(base, 2), tail]
    case = {"shape": np.array(shape), "seed": seed, "levels": levels}
    case["crc32"] = np.array([draws.crc32(clip) for clip in clips])
    rows = zip(*[features(clip, levels) for clip in clips], strict=True)
    return case | dict(zip(BLOCKS, map(np.stack, rows), strict=True))


def distances(x, y):
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))


def energy(x, y):
    """Returns the unbiased energy distance."""
    n, m = len(x), len(y)
    within = distances(x, x).sum() / (n * (n - 1)) + distances(y, y).sum() / (m * (m - 1))
    return 2 * distances(x, y).mean() - within


def set_of(seed, n, frames, side):
    """Returns the entries of the two sets."""
    levels = 3 + max(0, int(np.log2(side / 64)))
    real = [moved(draws.video(seed + i, frames, side, side), 1 + i % 2) for i in range(n)]
    fake = [draws.video(seed + 500 + i, frames, side, side) for i in range(n)]
    fake = [clip if i % 4 == 0 else moved(clip, 1 + i % 3) for i, clip in enumerate(fake)]
    real, fake = ([features(clip, levels) for clip in clips] for clips in (real, fake))
    parts = []
    for of_real, of_fake in zip(zip(*real, strict=True), zip(*fake, strict=True), strict=True):
        of_real, of_fake = np.stack(of_real), np.stack(of_fake)
        mean, sd = of_real.mean(0), of_real.std(0)
        sd = np.maximum(sd, 0.1 * np.sqrt((sd**2).mean()))
        scale = 3 / np.sqrt(4 * len(sd))
        parts.append([scale * np.tanh((rows - mean) / (3 * sd)) for rows in (of_real, of_fake)])
    z_real, z_fake = (np.concatenate(p, axis=1) for p in zip(*parts, strict=True))
    return {
        "params": np.array((seed, n, frames, side)),
        "z_real": z_real[:4],
        "z_fake": z_fake[:4],
        "hed": energy(z_real, z_fake),
        "hfd": distance_terms(z_real, z_fake)["fd_ddof1"],
    }


def make(cases):
    """Returns the arrays of one file."""
    arrays = {}
    for i, (name, options) in enumerate(cases.items()):
        case = set_of(*options) if name == "set" else case_of(300 + i, *options)
        arrays |= {f"{name}/{key}": value for key, value in case.items()}
    return arrays


def write(folder, small):
    """Writes the small file, or two."""
    save(folder / "jet_small.npz", make(SMALL))
    if not small:
        save(folder / "jet_large.npz", make(LARGE))
