"""Pickles and archives that run something when a careless reader opens them."""

import io
import os
import pickle
import struct
import zipfile

import torch

from tests.weights.stylegan_made import foreign_modules, nvidia_content, torch_bytes

# Opcodes, written by hand where no object would be pickled so.
PROTO, STOP = b"\x80\x04", b"."
PERSISTENT = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
EASY = b"cdnnlib.util\nEasyDict\n"


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def command(canary):
    return f"echo ran > {canary}"


def called(function, *arguments):
    """Opcodes of a call; all parts are opcodes themselves."""
    return function + b"(" + b"".join(arguments) + b"tR"


def source(canary):
    return f"open({str(canary)!r}, 'w').close()\nclass Generator: pass\n"


def in_network(thing, canary, key="secret"):
    """Returns a pickle of networks that is right but for `thing`, deep inside."""
    with foreign_modules() as (persistence, util):
        tensors = {"synthesis.b4.const": torch.ones(2, 4, 4)}
        content = nvidia_content(persistence, util, {"G_ema": tensors}, source=source(canary))
        content["G_ema"].meta["state"]["_modules"]["synthesis"].meta["state"][key] = thing
        return pickle.dumps(content, protocol=4)


def archive(entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return stream.getvalue()


def beside(canary):
    """Returns a right file of torch with one more entry, which leads out of it."""
    stream = io.BytesIO(torch_bytes({"g_ema": {}}))
    with zipfile.ZipFile(stream, "a") as file:
        file.writestr(f"../{canary.name}", "x")
    return stream.getvalue()


def hostile_files(canary):
    """Returns the bytes of hostile files by name; each would write `canary`."""
    bomb, shell = Call(os.system, command(canary)), text(command(canary))
    get = b"cbuiltins\ngetattr\n"
    imported = called(b"cbuiltins\n__import__\n", text("os"))
    plain, nested = pickle.dumps(bomb), pickle.dumps({"G_ema": [Call(list, (bomb, bomb))]})
    load = b"ctorch.storage\n_load_from_bytes\n"
    second = pickle.dumps(bomb, protocol=2)
    inner = b"B" + struct.pack("<I", len(second)) + second
    put = {"__setstate__": "x", "__call__": "x", "_call": "x"}
    slots = pickle.dumps((None, put))[2:-1]
    return {
        "system.pkl": plain,
        "system-0.pkl": b"\x80\x02" + b"cposix\nsystem\n(" + shell + b"tR.",
        "inst.pkl": PROTO + b"(" + shell + b"ios\nsystem\n.",
        "obj.pkl": PROTO + b"(" + b"csubprocess\nPopen\n" + shell + b"o.",
        "nested.pkl": nested,
        "deep.pkl": in_network(bomb, canary),
        "exec.pkl": in_network(Call(exec, source(canary)), canary),
        "options.pkl": in_network({"a": bomb}, canary, "_init_kwargs"),
        "getattr.pkl": PROTO + called(called(get, imported, text("system")), shell) + STOP,
        "dotted.pkl": PROTO
        + called(text("collections") + text("OrderedDict.__init__.__globals__") + b"\x93")
        + STOP,
        "module.pkl": PROTO + called(b"cevil_module\nanything\n") + STOP,
        "persistence.pkl": PROTO
        + called(PERSISTENT, pickle.dumps({"module_src": source(canary)})[11:-1])
        + STOP,
        "state of a function.pkl": PROTO + PERSISTENT + slots + b"b" + STOP,
        "state of a class.pkl": PROTO + EASY + slots + b"b" + STOP,
        "state of a type.pkl": PROTO + b"ccollections\nOrderedDict\n" + slots + b"b" + STOP,
        "numpy.pkl": PROTO + called(b"cnumpy\nload\n", text("x.npy")) + STOP,
        "storage.pkl": PROTO + called(load, inner) + STOP,
        "codec.pkl": PROTO + called(b"c_codecs\nencode\n", text("a"), text("zlib")) + STOP,
        "extension.pkl": PROTO + b"\x82\x01" + STOP,
        "persistent id.pkl": PROTO + b"Pstorage\n" + STOP,
        "archive.pkl": archive({"archive/data.pkl": second, "archive/version": "3"}),
        "traversal.pt": archive({"../../data.pkl": second, "../" + canary.name: "x"}),
        "absolute.pt": archive({str(canary): "x", "archive/data.pkl": second}),
        "beside.pt": beside(canary),
        "rosinality.pt": torch_bytes({"g_ema": {"conv1.bias": bomb}}),
        "old rosinality.pt": torch_bytes({"g_ema": bomb}, _use_new_zipfile_serialization=False),
    }
