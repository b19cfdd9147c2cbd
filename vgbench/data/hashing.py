"""Content hashes of the data layer: blake2b-256 in hex."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def hash_file(path: Path) -> str:
    """Returns the blake2b-256 of the file's content in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def hash_bytes(data: bytes) -> str:
    """Returns the blake2b-256 of `data` in hex."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def hash_lines(lines: Iterable[str]) -> str:
    """Returns the blake2b-256 of the lines in hex; each line is ended, so joins cannot collide."""
    digest = hashlib.blake2b(digest_size=32)
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
