"""Reading the tensors of PyTorch files without running anything that they contain."""

import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from vgbench.errors import WeightsError

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}
# Functions by which TorchScript marks the type of a list; their first argument is the list.
_LIST_MARKS = {
    "build_intlist",
    "build_doublelist",
    "build_boollist",
    "build_tensorlist",
    "restore_type_tag",
}


def read_torch_file(path: Path) -> tuple[dict[str, Tensor], str]:
    """Returns the tensors of a file by dotted name, and the kind of the file.

    Args:
        path: A safetensors file, a `torch.save`d state dict, or a TorchScript archive, of which
            only the parameters and buffers are read and no code is loaded.

    Returns:
        The tensors and `safetensors`, `torch` or `torchscript`.

    Raises:
        WeightsError: If the file is none of these, is damaged, or holds pickled code.
    """
    try:
        return _read(path)
    except WeightsError:
        raise
    except Exception as error:  # a damaged or foreign file may fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path} is not a file of tensors ({reason})\n"
            "  accepted: a state dict saved by torch.save, a TorchScript archive, safetensors, "
            "a TensorFlow checkpoint"
        ) from error


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    if path.suffix == ".safetensors":
        return load_file(path), "safetensors"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return _read_torchscript(archive), "torchscript"
    return _read_state_dict(path), "torch"


class RefusedError(Exception):
    """A file that would do more than hold tensors; nothing in it was executed."""


def load_plain(file: Path | BytesIO) -> Any:
    """Returns what `torch.save` wrote, on the CPU, if that is tensors and plain values.

    Raises:
        RefusedError: If it is more than that.
        Exception: Any other, if it is damaged.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # All that torch says beside the name advises to trust the file.
        found = re.search(r"GLOBAL\s+([\w.]+)", str(error), re.IGNORECASE)
        if found:
            raise RefusedError(f"it names {found[1]}, which is never called") from error
        raise ValueError("its pickle holds what tensors do not need, or is broken") from error


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    content = load_plain(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"{path} holds {type(content).__name__}, not a mapping of tensors")
    return {str(name): tensor for name, tensor in content.items()}


def _read_torchscript(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    data = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
    with archive.open(data) as stream:
        module = _ParameterReader(stream, archive, data.removesuffix(".pkl")).load()
    return dict(_named_tensors(module, ""))


class _Record:
    """Stands in for every class that an archive defines: attributes, no behaviour."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = state


class _ParameterReader(pickle.Unpickler):
    """Reads the attribute tree of a TorchScript archive.

    Only tensors, containers of the standard library and inert records can come out; any other
    name in the pickle is an error.
    """

    def __init__(self, stream: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(stream)
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Record
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle" and name in _LIST_MARKS:
            return _first
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not read")

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, _ = pid
        content = self._archive.read(f"{self._folder}/{key}")
        return torch.frombuffer(bytearray(content), dtype=dtype)


def rebuild_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    """Returns a tensor of its own that holds a part of a storage.

    Args:
        storage: All numbers of the storage, in one axis.
        offset: Number that the tensor starts with.
        size: Shape of the tensor.
        stride: Numbers between two neighbours along each axis.

    Raises:
        ValueError: If the tensor would have more numbers than the storage.
        RuntimeError: If it would reach beyond the storage.
    """
    if math.prod(size) > storage.numel():
        raise ValueError(f"a tensor of {tuple(size)} in a storage of {storage.numel()} numbers")
    return storage.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)


def _first(value: Any, *_: Any) -> Any:
    return value


def _named_tensors(record: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    attributes = cast(dict[str, Any], getattr(record, "attributes", {}))
    for name, value in attributes.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Record):
            yield from _named_tensors(value, f"{prefix}{name}.")
