"""Reading the networks of NVIDIA's pickles without running anything that they contain.

Such a file is a pickled dict of live modules. Each is stored with the source code of its class,
which the original reader executes. Here that code is not even looked at: of a module only its
parameters, buffers, parts and options are kept. A pickle calls functions by name, so only the few
names below mean anything, each of them an inert stand-in; every other name is refused.

Source: the format of NVlabs/stylegan2-ada-pytorch `torch_utils/persistence.py`.
"""

import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgbench.errors import CheckpointError
from vgbench.weights.torch_file import RefusedError, load_plain, rebuild_tensor


class StoredModule:
    """What is known of a module in a pickle: data, no behaviour.

    Args:
        stored: What the pickle says about it.

    Attributes:
        class_name: Name of its class.
        options: Keyword arguments that it was made with.
    """

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self.class_name = str(stored["class_name"])
        self._state: Mapping[str, Any] = stored["state"]
        self.options: Mapping[str, Any] = self._state.get("_init_kwargs", {})

    def __setstate__(self, state: Any) -> None:
        """Refuses what a pickle would add to a finished module."""
        _refuse_state(state)

    def tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yields parameters and buffers by dotted name, as a state dict does."""
        for group in ("_parameters", "_buffers"):
            for name, value in self._state.get(group, {}).items():
                if isinstance(value, Tensor):
                    yield f"{prefix}{name}", value
        for name, part in self._state.get("_modules", {}).items():
            if isinstance(part, StoredModule):
                yield from part.tensors(f"{prefix}{name}.")


def read_nvidia_pickle(path: Path) -> dict[str, StoredModule]:
    """Returns the networks of a file by their names in it, e.g. `G_ema` and `D`.

    Args:
        path: A pickle of StyleGAN2-ADA-PyTorch, StyleGAN3 or a project that builds on them.

    Raises:
        CheckpointError: If it holds something else, e.g. networks of TensorFlow.
        RefusedError: If it calls anything that networks do not need.
        Exception: Any other, if it is damaged.
    """
    with path.open("rb") as stream:
        content = _Reader(stream).load()
    if not isinstance(content, dict):
        raise CheckpointError(f"it holds {type(content).__name__}, not a dict of networks")
    return {str(k): v for k, v in content.items() if isinstance(v, StoredModule)}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in of a name; imports nothing."""
        if module.startswith("dnnlib.tflib"):
            raise CheckpointError(
                "it holds networks of TensorFlow; convert them with NVIDIA's legacy.py first"
            )
        full = f"{module}.{name}".removeprefix("src.")  # StyleGAN-V keeps NVIDIA's folders there
        if full not in _ALLOWED:
            raise RefusedError(f"it names {module}.{name}, which is never called")
        return _ALLOWED[full]


def _refuse_state(state: Any) -> None:
    raise RefusedError(f"it puts {type(state).__name__} into something finished")


class _Function:
    """A function that pickles may call; they cannot change it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: Any) -> None:
        _refuse_state(state)


class _Options(dict[str, Any]):
    """Stands in for `EasyDict`."""

    def __setstate__(self, state: Any) -> None:
        """Keeps the attributes of an `EasyDict`, which are its entries, out."""


class _NumPy:
    """Stands in for arrays, numbers and types of NumPy, of which no network's weights are made."""

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Ignores the contents."""


def _storage(data: bytes) -> Tensor:
    # What torch writes here is again a pickle; its own reader of weights reads it.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TypedStorage is deprecated")  # there is no other way
        storage = load_plain(BytesIO(data))
        return torch.empty(0, dtype=storage.dtype).set_(storage.untyped())


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _encoded(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"it encodes text as {encoding}")
    return text.encode("latin1")


_ALLOWED: Mapping[str, Any] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _Function(StoredModule),
    "dnnlib.util.EasyDict": _Options,
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
    "__builtin__.set": set,
    "_codecs.encode": _Function(_encoded),
    "torch.storage._load_from_bytes": _Function(_storage),
    "torch._utils._rebuild_tensor_v2": _Function(rebuild_tensor),
    "torch._utils._rebuild_parameter": _Function(_parameter),
    **{
        f"numpy.{name}": _NumPy
        for name in (
            "dtype",
            "ndarray",
            *(f"{c}.multiarray.{f}" for c in ("core", "_core") for f in ("scalar", "_reconstruct")),
        )
    },
}
