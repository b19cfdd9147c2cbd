"""Networks with drawn weights, and files that hold them as published files would."""

import pickle
from functools import cache

import numpy as np
import torch
from torch import nn

from tests.parity import draws
from vgbench.metrics.extractors.i3d import I3D
from vgbench.metrics.extractors.inception import InceptionV3
from vgbench.weights.catalog import CatalogEntry, KnownFile
from vgbench.weights.crc32c import masked_crc32c


@cache
def drawn_state(network, seed=7, scales=True):
    """Returns a state dict without batch counters; BN scales are one unless `scales`."""
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in network().state_dict().items()}
    state = {
        k: torch.from_numpy(draws.parameter(seed, k, shape))
        for k, shape in shapes.items()
        if not k.endswith("num_batches_tracked")
    }
    if not scales:
        state |= {k: torch.ones_like(v) for k, v in state.items() if k.endswith("bn.weight")}
    return state


def i3d_state(seed=7, scales=False):
    return drawn_state(I3D, seed, scales)


def inception_state(seed=7, scales=True):
    return drawn_state(InceptionV3, seed, scales)


# PyTorch files ---------------------------------------------------------------------------------


class Holder(nn.Module):
    """A module that holds tensors under dotted names, for TorchScript archives."""

    def __init__(self, tensors):
        super().__init__()
        children = {}
        for name, tensor in tensors.items():
            head, _, tail = name.partition(".")
            if tail:
                children.setdefault(head, {})[tail] = tensor
            elif "running" in head or head in ("mean", "var"):
                self.register_buffer(head, tensor)
            else:
                self.register_parameter(head, nn.Parameter(tensor))
        for name, below in children.items():
            self.add_module(name, Holder(below))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.numel() < 0, "this code must never run"
        return x


def save_torchscript(path, tensors):
    torch.jit.script(Holder(tensors)).save(str(path))


STYLEGAN_V_BRANCHES = {
    "b0": "branch_0",
    "b1a": "branch_1.0",
    "b1b": "branch_1.1",
    "b2a": "branch_2.0",
    "b2b": "branch_2.1",
    "b3b": "branch_3.1",
}


def stylegan_v_names(state):
    """Returns the I3D tensors as the TorchScript of StyleGAN-V names them."""
    renamed = {}
    for name, tensor in state.items():
        parts = name.replace("logits.", "conv3d_0c_1x1.").replace(".bn.", ".batch3d.").split(".")
        parts = [STYLEGAN_V_BRANCHES.get(part, part) for part in parts]
        renamed[".".join([parts[0].lower(), *parts[1:]])] = tensor
    return renamed


class Bomb:
    """Runs a command when it is unpickled by a careless reader."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def save_bomb(path, marker):
    torch.save({"weight": torch.zeros(1), "bomb": Bomb(marker)}, path)


def bomb_pickle(marker):
    return pickle.dumps(Bomb(marker), protocol=2)


# TensorFlow checkpoints ------------------------------------------------------------------------


def deepmind_names(state, prefix="RGB/inception_i3d/", bn_axes=1):
    """Returns the I3D variables as DeepMind's checkpoints hold them (scales are not stored)."""
    kinds = {
        ("conv3d", "weight"): "conv_3d/w",
        ("conv3d", "bias"): "conv_3d/b",
        ("bn", "bias"): "batch_norm/beta",
        ("bn", "running_mean"): "batch_norm/moving_mean",
        ("bn", "running_var"): "batch_norm/moving_variance",
    }
    branches = {
        "b0": "Branch_0/Conv3d_0a_1x1",
        "b1a": "Branch_1/Conv3d_0a_1x1",
        "b1b": "Branch_1/Conv3d_0b_3x3",
        "b2a": "Branch_2/Conv3d_0a_1x1",
        "b2b": "Branch_2/Conv3d_0b_3x3",
        "b3b": "Branch_3/Conv3d_0b_1x1",
    }
    variables = {}
    for name, tensor in state.items():
        *path, kind, leaf = name.split(".")
        if (kind, leaf) == ("bn", "weight"):
            continue
        unit = "/".join(branches.get(part, part) for part in path)
        unit = unit.replace("logits", "Logits/Conv3d_0c_1x1")
        unit = unit.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")
        array = tensor.numpy()
        if array.ndim == 5:
            array = array.transpose(2, 3, 4, 1, 0)
        elif kind == "bn":
            array = array.reshape((1,) * (bn_axes - 1) + array.shape)
        variables[f"{prefix}{unit}/{kinds[kind, leaf]}"] = np.ascontiguousarray(array)
    return variables


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def bundle_entry(shape, offset, data, dtype):
    axes = b"".join(field(2, field(1, n)) for n in shape)
    checksum = varint(6 << 3 | 5) + masked_crc32c(data).to_bytes(4, "little")
    return field(1, dtype) + field(2, axes) + field(4, offset) + field(5, len(data)) + checksum


def table_block(items, interval=16):
    """Returns a block of a LevelDB table with prefix-compressed keys."""
    body, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(items):
        shared = 0
        if i % interval == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value))
        body += key[shared:] + value
        last = key
    return body + b"".join(n.to_bytes(4, "little") for n in [*restarts, len(restarts)])


def save_checkpoint(prefix, variables, entries_per_block=50, dtype=1, extra=b""):
    """Writes PREFIX.index and PREFIX.data-00000-of-00001; `extra` ends each record."""
    header = field(1, 1) + field(3, field(1, 1))
    records, data = [(b"", header)], bytearray()
    for name in sorted(variables):
        raw = variables[name].astype("<f4").tobytes()
        entry = bundle_entry(variables[name].shape, len(data), raw, dtype) + extra
        records.append((name.encode(), entry))
        data += raw
    table, index = bytearray(), []

    def append(block):
        handle = varint(len(table)) + varint(len(block))
        table.extend(block + b"\0" + masked_crc32c(block + b"\0").to_bytes(4, "little"))
        return handle

    for start in range(0, len(records), entries_per_block):
        items = records[start : start + entries_per_block]
        index.append((items[-1][0], append(table_block(items))))
    meta_handle = append(table_block([]))
    footer = (meta_handle + append(table_block(index, interval=1))).ljust(40, b"\0")
    table += footer + (0xDB4775248B80FB57).to_bytes(8, "little")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(prefix.name + ".index").write_bytes(bytes(table))
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(bytes(data))


# A network of one layer, for what does not depend on the network -------------------------------


class Tiny(nn.Module):
    """The first layer of I3D alone; files of it take no time."""

    def __init__(self):
        super().__init__()
        self.Conv3d_1a_7x7 = nn.ModuleDict({"conv3d": nn.Conv3d(3, 8, 7, bias=False)})


TINY = CatalogEntry(
    name="tiny",
    title="a tiny network",
    network="tests.weights.made:Tiny",
    example="tiny.pt",
    home="https://tiny.example",
    licence="CC0",
    aliases=("small",),
    files=(KnownFile("tiny.pt", official=True, page="https://tiny.example/page"),),
)


def save_tiny(path, seed=0):
    """Writes a state dict of the tiny network and returns its bytes."""
    torch.save(drawn_state(Tiny, seed), path)
    return path.read_bytes()
