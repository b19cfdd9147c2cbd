"""The weights that vgbench knows by name; standard library only."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from vgbench.errors import UnknownNameError
from vgbench.registry import unknown_name_text


@dataclass(frozen=True)
class KnownFile:
    """A file that holds certain weights.

    Attributes:
        title: What its makers call it.
        official: Whether its tensors are the ones that the metric is defined by.
        page: Where people find it.
        download: Addresses of its parts, the one that is recognised last; empty if only a browser
            gets through.
        size: Its bytes, or 0 if that is not known.
        git_blob_sha1: Its git blob id, or empty.
        sha256_prefix: The start of its sha256, or empty.
    """

    title: str
    official: bool
    page: str = ""
    download: tuple[str, ...] = ()
    size: int = 0
    git_blob_sha1: str = ""
    sha256_prefix: str = ""


@dataclass(frozen=True)
class CatalogEntry:
    """Weights of one network.

    Attributes:
        name: The name users type.
        title: One line that says what they are.
        network: `module:class` whose state dict the tensors must fit.
        example: A file name for messages; several, divided by spaces, if all are needed.
        home: Page of the makers.
        licence: Terms that the makers state.
        aliases: Other names for the same.
        files: Files known to hold them.
        crc32c: Masked CRC-32C of some tensors in TensorFlow's layout, as 8 hex digits.
    """

    name: str
    title: str
    network: str
    example: str
    home: str
    licence: str
    aliases: tuple[str, ...] = ()
    files: tuple[KnownFile, ...] = ()
    crc32c: Mapping[str, str] = field(default_factory=dict)

    @property
    def import_command(self) -> str:
        """The command that installs a file that the user has."""
        files = " ".join(f"/path/to/{name}" for name in self.example.split())
        return f"vgbench weights import {self.name} {files}"


Catalog = Mapping[str, CatalogEntry]


def read_catalog() -> Catalog:
    """Returns the entries of `catalog.toml` by name."""
    text = resources.files("vgbench.weights").joinpath("catalog.toml").read_text("utf-8")
    return {name: _entry(name, table) for name, table in tomllib.loads(text).items()}


def find_entry(catalog: Catalog, name: str) -> CatalogEntry:
    """Returns the entry with this name or alias.

    Raises:
        UnknownNameError: If there is none; the message suggests the nearest.
    """
    for entry in catalog.values():
        if name in (entry.name, *entry.aliases):
            return entry
    message = unknown_name_text("weight", name, sorted(catalog))
    raise UnknownNameError(message.replace("vgbench ls weights", "vgbench weights list"))


def _entry(name: str, table: dict[str, Any]) -> CatalogEntry:
    files = tuple(
        KnownFile(**{**file, "download": tuple(file.get("download", ()))})
        for file in table.pop("files")
    )
    return CatalogEntry(name=name, files=files, **{**table, "aliases": tuple(table["aliases"])})
