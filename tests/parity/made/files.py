"""What parity files have in common."""

import json

import numpy as np

from tests.parity import draws


def save(path, arrays, meta=None):
    """Writes arrays by key, and `meta` as JSON if there is any."""
    extra = {} if meta is None else {"meta": json.dumps(meta)}
    np.savez(path, **arrays, **extra)


def described(weight_seed, weights):
    """Returns the entries that say which network weights are to be redrawn."""
    return {
        "weight_seed": np.array(weight_seed),
        "keys": np.array(list(weights)),
        "key_shape": np.array([",".join(map(str, v.shape)) for v in weights.values()]),
        "key_crc32": np.array([draws.crc32(v) for v in weights.values()], dtype=np.uint32),
    }


def rounded(case, entries):
    """Returns tensors as float32 arrays by `case/kind/name`; a kind may end in a prefix of names.

    Args:
        case: Name of the case; empty for none.
        entries: Tensors by name, by kind, e.g. `in`, `out`, `sd/D.`.
    """
    arrays = {}
    for kind, values in entries.items():
        start = "/".join(filter(None, (case, kind)))
        start = start if start.endswith(".") else f"{start}/"
        for name, value in values.items():
            arrays[start + name] = value.detach().numpy().astype(np.float32)
    return arrays
