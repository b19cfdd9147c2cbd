"""Downloading weights, only ever on request: resumable, checked, all or nothing."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.exceptions import ProxyError, RequestException

from vgbench.errors import WeightsError
from vgbench.weights.catalog import CatalogEntry, KnownFile, find_entry
from vgbench.weights.store import Installed, WeightStore, file_digests

_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_PIECE = 1 << 14  # bytes; of a piece that is cut nothing is kept
_NOT_THE_FILE = "the file changed; it is not the one that the catalogue knows"


@dataclass(frozen=True)
class Transfer:
    """How far a download is.

    Attributes:
        url: Address of the file.
        done: Bytes on disk, those of an earlier attempt included.
        total: Bytes of the file, or None if the server does not say.
    """

    url: str
    done: int
    total: int | None


Listener = Callable[[Transfer], None]


class DownloadError(Exception):
    """A download that failed; the text is the reason."""


def fetch_weights(
    store: WeightStore, name: str, *, url: str = "", on_progress: Listener | None = None
) -> Installed:
    """Downloads weights, checks them, installs them and returns their provenance.

    Weights that are installed already, and official, are not downloaded again. What was received
    of an interrupted download is kept, and the next call continues there. Nothing is installed
    unless everything arrived and is what the catalogue knows.

    Args:
        store: Where they are installed.
        name: Name or alias in the catalog.
        url: Another address of one file, e.g. a mirror (default: the first of the catalog).
        on_progress: Called before the first byte, and then after every piece.

    Raises:
        UnknownNameError: If the catalog has no such name.
        WeightsError: If no address is known, or the download fails or brings something else; the
            text ends with the command that installs a file obtained in another way.
    """
    entry = find_entry(store.catalog, name)
    known = _choose(entry, url)
    if not url and (installed := _official(store, name)):
        return installed
    folder = store.folder / "downloads" / entry.name
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for address in known.download:
        files.append(folder / Path(urlsplit(address).path).name)
        try:
            download(address, files[-1], on_progress or (lambda _: None))
        except DownloadError as error:
            raise WeightsError(_failed(entry, address, str(error))) from error
    try:
        _check_identity(files[-1], known)
        return store.import_weights(entry.name, *files)
    except (DownloadError, WeightsError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(_failed(entry, known.download[-1], reason)) from error
    finally:  # right or wrong, there is nothing to be continued
        shutil.rmtree(folder)


def download(url: str, target: Path, on_progress: Listener) -> None:
    """Writes what `url` serves to `target`; continues where an interrupted call ended.

    Bytes gather in `target` + `.part`. They are continued only if the server vouches, by the
    `ETag` or date kept beside them, that the file is still the same.

    Raises:
        DownloadError: If the file cannot be had, or the connection ended early.
    """
    if target.is_file():
        return
    part, tag = (target.with_name(target.name + suffix) for suffix in (".part", ".tag"))
    headers = {"Accept-Encoding": "identity"}  # lengths are those of the file itself
    if part.is_file() and tag.is_file():
        headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": tag.read_text("utf-8")}
    with _open(url, headers) as response:
        if response.status_code == 416 and part.is_file():  # nothing lies behind what is there
            part.unlink()
            download(url, target, on_progress)
            return
        if response.status_code >= 400:
            raise DownloadError(f"the server answered {response.status_code} {response.reason}")
        _receive(response, part, tag, on_progress)
    os.replace(part, target)
    tag.unlink(missing_ok=True)


def _open(url: str, headers: dict[str, str]) -> requests.Response:
    try:
        return requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
    except ProxyError as error:
        raise DownloadError(
            f"the proxy failed ({_innermost(error)}); it is set in HTTPS_PROXY or HTTP_PROXY"
        ) from error
    except RequestException as error:
        raise DownloadError(f"no connection ({_innermost(error)})") from error


def _receive(response: requests.Response, part: Path, tag: Path, on_progress: Listener) -> None:
    continued = response.status_code == 206
    if not continued:
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        part.write_bytes(b"")
        tag.write_text(validator, "utf-8") if validator else tag.unlink(missing_ok=True)
    done, length = part.stat().st_size, response.headers.get("Content-Length")
    total = done + int(length) if length else None
    on_progress(Transfer(response.url, done, total))
    try:
        with part.open("ab") as stream:
            for piece in response.iter_content(_PIECE):
                stream.write(piece)
                done += len(piece)
                on_progress(Transfer(response.url, done, total))
    except RequestException as error:
        raise DownloadError(_cut(done, total)) from error
    if total is not None and done < total:
        raise DownloadError(_cut(done, total))


def _official(store: WeightStore, name: str) -> Installed | None:
    """Returns the provenance of what is installed if it is intact and official."""
    try:
        installed = store.verify(name)
    except WeightsError:  # absent or damaged
        return None
    return installed if installed.identity == "official" else None


def _choose(entry: CatalogEntry, url: str) -> KnownFile:
    """Returns the file to download; one that nothing is known of if `url` is not listed."""
    if url:
        listed = (file for file in entry.files if file.download == (url,))
        return next(listed, KnownFile(url, official=False, download=(url,)))
    found = next((file for file in entry.files if file.download), None)
    if found is None:
        pages = ", ".join(file.page for file in entry.files)
        raise WeightsError(
            f"weights '{entry.name}' can only be had with a browser: {pages}\n"
            f"  then run: {entry.import_command}"
        )
    return found


def _check_identity(file: Path, known: KnownFile) -> None:
    size, blob, sha256 = file_digests(file)
    if known.git_blob_sha1 and blob != known.git_blob_sha1:
        found = f"{size} bytes, git blob {blob[:12]}, expected {known.git_blob_sha1[:12]}"
        raise DownloadError(f"{_NOT_THE_FILE} ({found})")
    if not sha256.startswith(known.sha256_prefix):
        found = f"{size} bytes, sha256 {sha256[:12]}, expected {known.sha256_prefix}"
        raise DownloadError(f"{_NOT_THE_FILE} ({found})")


def _failed(entry: CatalogEntry, url: str, reason: str) -> str:
    return (
        f"cannot fetch '{entry.name}' from {url}\n"
        f"  {reason}\n"
        "  or get the file in another way, put it anywhere and run\n"
        f"  {entry.import_command}"
    )


def _cut(done: int, total: int | None) -> str:
    of = f" of {total}" if total is not None else ""
    return f"the connection was cut after {done}{of} bytes; run the same again to continue there"


def _innermost(error: BaseException) -> str:
    """Returns the text of the error at the bottom of the libraries' nested ones."""
    inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
    return _innermost(inner) if isinstance(inner, BaseException) else str(error)
