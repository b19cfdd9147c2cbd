"""The folder of installed weights: importing files, listing and loading them."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vgbench.errors import UsageError, WeightsError
from vgbench.registry import load_target
from vgbench.weights.catalog import Catalog, CatalogEntry, KnownFile, find_entry, read_catalog
from vgbench.weights.crc32c import masked_crc32c
from vgbench.weights.layouts import Shapes, to_ours, to_tensorflow
from vgbench.weights.record import Identity, WeightsRef
from vgbench.weights.tf_checkpoint import checkpoint_files, read_checkpoint
from vgbench.weights.torch_file import read_torch_file


@dataclass(frozen=True)
class Installed:
    """Provenance of installed weights; stored as JSON beside them.

    Attributes:
        name: Name in the catalog.
        identity: `official` or `other`.
        matched: What the identity rests on.
        layout: Naming scheme of the source file.
        source: Name of the source file.
        size: Its bytes.
        git_blob_sha1: Its git blob id (`git hash-object`).
        sha256: Its sha256.
        tensors_sha256: `tensors_sha256` of the tensors.
    """

    name: str
    identity: Identity
    matched: str
    layout: str
    source: str
    size: int
    git_blob_sha1: str
    sha256: str
    tensors_sha256: str

    @property
    def ref(self) -> WeightsRef:
        """The record that travels with numbers."""
        return WeightsRef(self.name, self.identity, self.tensors_sha256)


def default_weights_dir() -> Path:
    """Returns the folder in use when none is given."""
    return Path.home() / ".cache" / "vgbench" / "weights"


class WeightStore:
    """Installed weights, each a safetensors file with our names and a JSON of its provenance.

    Args:
        folder: Where they lie (default: `default_weights_dir()`); created when needed.
        catalog: The weights that exist (default: those that come with vgbench).
    """

    def __init__(self, folder: Path | None = None, catalog: Catalog | None = None) -> None:
        self.folder = folder or default_weights_dir()
        self.catalog = catalog or read_catalog()

    def import_weights(self, name: str, file: Path) -> Installed:
        """Converts a file that the user has, installs it and returns its provenance.

        Nothing in the file is executed. Weights of the same name are replaced.

        Args:
            name: Name or alias in the catalog.
            file: A PyTorch state dict, TorchScript archive, safetensors file, or either file (or
                the folder) of a TensorFlow checkpoint.

        Raises:
            UnknownNameError: If the catalog has no such name.
            WeightsError: If the file is unreadable, holds another network, or is known to be
                other weights than those asked for.
        """
        entry = find_entry(self.catalog, name)
        tensors, layout, data = read_network(file, entry)
        size, blob, sha256 = file_digests(data)
        identity, matched = self._identify(entry, blob, sha256, tensors)
        installed = Installed(
            name=entry.name,
            identity=identity,
            matched=matched,
            layout=layout,
            source=data.name,
            size=size,
            git_blob_sha1=blob,
            sha256=sha256,
            tensors_sha256=tensors_sha256(tensors),
        )
        self._write(installed, tensors)
        return installed

    def list_weights(self) -> list[tuple[CatalogEntry, Installed | None]]:
        """Returns every entry of the catalog with the provenance of what is installed."""
        return [(entry, self._provenance(entry)) for entry in self.catalog.values()]

    def verify(self, name: str) -> Installed:
        """Returns the provenance of installed weights after reading all of their bytes.

        The identity is taken afresh, so it follows a catalog that learnt more since.

        Raises:
            UnknownNameError: If the catalog has no such name.
            WeightsError: If they are not installed, or are not what was installed.
        """
        entry = find_entry(self.catalog, name)
        tensors, _ = self.load(entry.name)
        installed = self._provenance(entry)
        if installed is None:
            raise WeightsError(_missing(entry))
        digests = installed.git_blob_sha1, installed.sha256
        identity, matched = self._identify(entry, *digests, tensors)
        return replace(installed, identity=identity, matched=matched)

    def load(self, name: str) -> tuple[dict[str, Tensor], WeightsRef]:
        """Returns the tensors installed under `name`, by our names, and their identity.

        Raises:
            UnknownNameError: If the catalog has no such name.
            WeightsError: If they are not installed, or are not what was installed.
        """
        entry = find_entry(self.catalog, name)
        installed = self._provenance(entry)
        path = self._path(entry.name)
        if installed is None or not path.is_file():
            raise WeightsError(_missing(entry))
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise WeightsError(_damaged(path, entry, str(error))) from error
        if tensors_sha256(tensors) != installed.tensors_sha256:
            raise WeightsError(_damaged(path, entry, "the tensors changed since they came in"))
        return tensors, installed.ref

    def _identify(
        self, entry: CatalogEntry, blob: str, sha256: str, tensors: Mapping[str, Tensor]
    ) -> tuple[Identity, str]:
        """Returns the identity of a file and what it rests on; refuses other known weights."""
        found: tuple[Identity, str] = ("other", "unknown file")
        for other in self.catalog.values():
            file = next((f for f in other.files if _is_file(f, blob, sha256)), None)
            official = (file is not None and file.official) or _same_numbers(other, tensors)
            if other is not entry and (file is not None or official):
                raise WeightsError(
                    f"this is {other.aliases[0] if other.aliases else other.name} ({other.title}), "
                    f"not {entry.name} ({entry.title})\n"
                    f"  to install it under its own name: vgbench weights import {other.name} FILE"
                )
            if other is entry and (file is not None or official):
                evidence = f"file: {file.title}" if file else "checksums of its tensors"
                found = ("official" if official else "other", evidence)
        return found

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _provenance(self, entry: CatalogEntry) -> Installed | None:
        path = self._path(entry.name).with_suffix(".json")
        if not path.is_file():
            return None
        try:
            return Installed(**json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise WeightsError(_damaged(path, entry, str(error))) from error

    def _write(self, installed: Installed, tensors: dict[str, Tensor]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(installed.name)
        with TemporaryDirectory(dir=self.folder) as scratch:
            new = Path(scratch) / path.name
            save_file(tensors, new)
            text = json.dumps(asdict(installed), indent=2) + "\n"
            new.with_suffix(".json").write_text(text, "utf-8")
            # A kill between the two leaves a pair that `load` refuses, never a wrong one.
            os.replace(new, path)
            os.replace(new.with_suffix(".json"), path.with_suffix(".json"))


def read_network(file: Path, entry: CatalogEntry) -> tuple[dict[str, Tensor], str, Path]:
    """Returns the tensors of a file under our names, its layout, and the file they lie in.

    Args:
        file: As for `WeightStore.import_weights`.
        entry: The weights it is meant to hold.

    Raises:
        WeightsError: If the file is unreadable or does not fit the network.
    """
    checkpoint = checkpoint_files(file)
    if checkpoint is not None:
        tensors, data, kind = read_checkpoint(*checkpoint), checkpoint[1], "tensorflow"
    elif file.is_file():
        (tensors, kind), data = read_torch_file(file), file
    else:
        raise WeightsError(f"{file} is neither a file of weights nor a TensorFlow checkpoint")
    try:
        ours, layout = to_ours(tensors, network_shapes(entry))
    except WeightsError as error:
        raise WeightsError(f"{file} is not '{entry.name}': {error}") from error
    return ours, f"{layout} ({kind})", data


def convert(name: str, source: Path, target: Path, catalog: Catalog | None = None) -> str:
    """Writes the tensors of a file as safetensors under our names; returns the file's layout.

    Args:
        name: Name or alias of the weights that `source` holds.
        source: As for `WeightStore.import_weights`.
        target: File to be made.
        catalog: As for `WeightStore`.

    Raises:
        UsageError: If `target` exists or does not end in `.safetensors`.
        UnknownNameError: If the catalog has no such name.
        WeightsError: If the file is unreadable or does not fit the network.
    """
    if target.suffix != ".safetensors" or target.exists() or not target.parent.is_dir():
        raise UsageError(
            f"{target}: expected the name of a new file, ending in .safetensors, in a folder that "
            "exists"
        )
    tensors, layout, _ = read_network(source, find_entry(catalog or read_catalog(), name))
    with TemporaryDirectory(dir=target.parent) as scratch:
        save_file(tensors, Path(scratch) / target.name)
        os.replace(Path(scratch) / target.name, target)
    return layout


def network_shapes(entry: CatalogEntry) -> Shapes:
    """Returns the shapes of the state dict of the entry's network, without batch counters."""
    with torch.device("meta"):
        network: nn.Module = load_target(entry.network)()
    state = network.state_dict()
    return {k: v.shape for k, v in state.items() if not k.endswith("num_batches_tracked")}


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Returns the sha256 of names, shapes and bytes of float32 `tensors`, in order of names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def file_digests(path: Path) -> tuple[int, str, str]:
    """Returns size in bytes, git blob sha1 and sha256 of a file."""
    size = path.stat().st_size
    blob, sha256 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            blob.update(chunk)
            sha256.update(chunk)
    return size, blob.hexdigest(), sha256.hexdigest()


def _is_file(known: KnownFile, blob: str, sha256: str) -> bool:
    by_blob = bool(known.git_blob_sha1) and known.git_blob_sha1 == blob
    return by_blob or (bool(known.sha256_prefix) and sha256.startswith(known.sha256_prefix))


def _same_numbers(entry: CatalogEntry, tensors: Mapping[str, Tensor]) -> bool:
    """Returns whether all tensors whose checksum the catalog knows are these."""
    return bool(entry.crc32c) and all(
        name in tensors and f"{_tensorflow_crc(tensors[name]):08x}" == crc
        for name, crc in entry.crc32c.items()
    )


def _tensorflow_crc(tensor: Tensor) -> int:
    return masked_crc32c(to_tensorflow(tensor).numpy().astype("<f4", copy=False).tobytes())


def _missing(entry: CatalogEntry) -> str:
    online = any(file.download for file in entry.files)
    hint = f"\n  or, with a connection: vgbench weights fetch {entry.name}" if online else ""
    return (
        f"weights '{entry.name}' not found and offline; put the file anywhere and run\n"
        f"  vgbench weights import {entry.name} /path/to/{entry.example}{hint}"
    )


def _damaged(path: Path, entry: CatalogEntry, reason: str) -> str:
    return f"{path} is damaged: {reason}\n  vgbench weights import {entry.name} FILE"
