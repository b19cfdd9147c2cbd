"""The folder of installed weights: importing files, listing and loading them."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
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
class SourceFile:
    """A file that weights came from.

    Attributes:
        name: Its name.
        size: Its bytes.
        git_blob_sha1: Its git blob id (`git hash-object`).
        sha256: Its sha256.
    """

    name: str
    size: int
    git_blob_sha1: str
    sha256: str


@dataclass(frozen=True)
class Installed:
    """Provenance of installed weights; stored as JSON beside them.

    Attributes:
        name: Name in the catalog.
        identity: `official` or `other`.
        matched: What the identity rests on.
        layout: Naming scheme of the source files.
        files: The source files.
        tensors_sha256: `tensors_sha256` of the tensors.
    """

    name: str
    identity: Identity
    matched: str
    layout: str
    files: list[SourceFile]
    tensors_sha256: str

    @classmethod
    def from_json(cls, text: str) -> "Installed":
        """Returns the provenance that a text of JSON holds.

        Raises:
            ValueError, TypeError, KeyError: If it holds none.
        """
        values = json.loads(text)
        return cls(**{**values, "files": [SourceFile(**file) for file in values["files"]]})

    @property
    def source(self) -> str:
        """Names of the source files."""
        return " + ".join(file.name for file in self.files)

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

    def import_weights(self, name: str, *files: Path) -> Installed:
        """Converts files that the user has, installs them and returns their provenance.

        Nothing in them is executed. Weights of the same name are replaced.

        Args:
            name: Name or alias in the catalog.
            files: A PyTorch state dict, TorchScript archive, safetensors file, or either file (or
                the folder) of a TensorFlow checkpoint; all of them, if the weights are published
                in several files.

        Raises:
            UnknownNameError: If the catalog has no such name.
            WeightsError: If a file is unreadable, holds another network, or is known to be
                other weights than those asked for.
        """
        entry = find_entry(self.catalog, name)
        tensors, layout, read = read_network(files, entry)
        sources = [SourceFile(path.name, *file_digests(path)) for path in read]
        identity, matched = self._identify(entry, sources, tensors)
        installed = Installed(
            name=entry.name,
            identity=identity,
            matched=matched,
            layout=layout,
            files=sources,
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
        identity, matched = self._identify(entry, installed.files, tensors)
        return replace(installed, identity=identity, matched=matched)

    def ref(self, name: str) -> WeightsRef:
        """Returns the identity of what is installed under `name`, without reading it.

        Raises:
            UnknownNameError: If the catalog has no such name.
            WeightsError: If it is not installed.
        """
        entry = find_entry(self.catalog, name)
        installed = self._provenance(entry)
        if installed is None:
            raise WeightsError(_missing(entry))
        return installed.ref

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
        self, entry: CatalogEntry, sources: Sequence[SourceFile], tensors: Mapping[str, Tensor]
    ) -> tuple[Identity, str]:
        """Returns the identity of files and what it rests on; refuses other known weights."""
        for other in self.catalog.values():
            is_other = any(_known(other, source) for source in sources)
            if other is not entry and (is_other or _same_numbers(other, tensors)):
                raise WeightsError(
                    f"this is {other.aliases[0] if other.aliases else other.name} ({other.title}), "
                    f"not {entry.name} ({entry.title})\n"
                    f"  to install it under its own name: vgbench weights import {other.name} FILE"
                )
        files = [known for source in sources if (known := _known(entry, source))]
        if len(files) == len(sources):
            official = all(file.official for file in files) or _same_numbers(entry, tensors)
            evidence = f"file: {' + '.join(file.title for file in files)}"
            return "official" if official else "other", evidence
        if _same_numbers(entry, tensors):
            return "official", "checksums of its tensors"
        return "other", "unknown file"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _provenance(self, entry: CatalogEntry) -> Installed | None:
        path = self._path(entry.name).with_suffix(".json")
        if not path.is_file():
            return None
        try:
            return Installed.from_json(path.read_text("utf-8"))
        except (ValueError, TypeError, KeyError) as error:
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


def read_network(
    files: Sequence[Path], entry: CatalogEntry
) -> tuple[dict[str, Tensor], str, list[Path]]:
    """Returns the tensors of files under our names, their layout, and the files they lie in.

    Args:
        files: As for `WeightStore.import_weights`.
        entry: The weights that they are meant to hold together.

    Raises:
        WeightsError: If a file is unreadable or they do not fit the network.
    """
    tensors: dict[str, Tensor] = {}
    kinds: dict[Path, str] = {}
    for file in files:
        own, kind, data = _read(file)
        if data in kinds:  # both files of a TensorFlow checkpoint were named
            continue
        kinds[data] = kind
        if twice := sorted(tensors.keys() & own):
            raise WeightsError(f"{file} holds '{twice[0]}', which another of the files holds too")
        tensors |= own
    try:
        ours, layout = to_ours(tensors, network_shapes(entry))
    except WeightsError as error:
        named = " and ".join(map(str, files))
        raise WeightsError(
            f"{named} is not '{entry.name}': {error}\n  expected: {entry.import_command}"
        ) from error
    return ours, f"{layout} ({' + '.join(dict.fromkeys(kinds.values()))})", list(kinds)


def _read(file: Path) -> tuple[dict[str, Tensor], str, Path]:
    """Returns the tensors of a file under its names, its kind, and the file they lie in."""
    checkpoint = checkpoint_files(file)
    if checkpoint is not None:
        return read_checkpoint(*checkpoint), "tensorflow", checkpoint[1]
    if file.is_file():
        return *read_torch_file(file), file
    raise WeightsError(f"{file} is neither a file of weights nor a TensorFlow checkpoint")


def convert(
    name: str, sources: Sequence[Path], target: Path, catalog: Catalog | None = None
) -> str:
    """Writes the tensors of files as safetensors under our names; returns the file's layout.

    Args:
        name: Name or alias of the weights that `sources` hold.
        sources: As for `WeightStore.import_weights`.
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
    tensors, layout, _ = read_network(sources, find_entry(catalog or read_catalog(), name))
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


def _known(entry: CatalogEntry, source: SourceFile) -> KnownFile | None:
    """Returns the file of the catalog that a file is, if it is one."""
    for known in entry.files:
        by_blob = bool(known.git_blob_sha1) and known.git_blob_sha1 == source.git_blob_sha1
        by_sha = bool(known.sha256_prefix) and source.sha256.startswith(known.sha256_prefix)
        if by_blob or by_sha:
            return known
    return None


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
        f"  {entry.import_command}{hint}"
    )


def _damaged(path: Path, entry: CatalogEntry, reason: str) -> str:
    return f"{path} is damaged: {reason}\n  vgbench weights import {entry.name} FILE"
