"""Zip archives of frames, read as streams; nothing of them is ever written to disk."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vgbench.data.decode import RefusedError
from vgbench.data.inputs.base import InputVideo
from vgbench.data.inputs.frame_folders import by_folder, not_leaves, refused_holder
from vgbench.data.inputs.labels import LABELS, Labels, parse_labels, read_json
from vgbench.data.inputs.names import is_debris, ordered_frames, shown_name
from vgbench.data.inputs.pictures import MAX_BYTES, Pictures
from vgbench.data.inputs.video_files import file_stamp
from vgbench.errors import DataError

MAX_RATIO = 200
PARTITION = "frame_paths.json"
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., lengths of name and extra field
_ENCRYPTED = 0x1
_MAX_NAME = 4096  # longer than any path
# what the standard library raises on damaged archives
_DAMAGE = (
    *(zipfile.BadZipFile, OSError, ValueError, EOFError, IndexError, KeyError, OverflowError),
    *(NotImplementedError, struct.error, MemoryError),
)


class Member(NamedTuple):
    """Where a file lies in an archive: enough to read it without the archive's directory."""

    name: str
    offset: int
    packed: int
    size: int
    deflated: bool
    crc: int


@dataclass(frozen=True)
class ZippedFrames(Pictures):
    """A folder of an archive as a video.

    Attributes:
        archive: The archive.
        members: The frames in order.
    """

    archive: Path = Path()
    members: tuple[Member, ...] = ()

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.members)

    def stamp(self) -> tuple[int, int]:
        """Returns the bytes of all frames, and the time of the archive's last change."""
        return sum(member.size for member in self.members), file_stamp(self.archive)[1]

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Yields file name and content of each frame in order.

        Raises:
            OSError: If the archive cannot be read.
            RefusedError: With reason `decode_error` if a member is damaged.
        """
        with self.archive.open("rb") as file:
            for number, member in enumerate(self.members):
                try:
                    data = read_member(file, member)
                except (zlib.error, ValueError, struct.error) as error:
                    text = f"decoding failed after {number} frames ({member.name}: {error})"
                    raise RefusedError("decode_error", text, number, self.name) from error
                yield member.name.rpartition("/")[2], data


def read_member(file: BinaryIO, member: Member) -> bytes:
    """Returns the content of a member, never more than the bytes it claims.

    Raises:
        ValueError: If it is damaged.
        zlib.error: If it is damaged.
    """
    file.seek(data_offset(file, member.offset))
    data = file.read(member.packed)
    if member.deflated:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise ValueError("wrong size or checksum")
    return data


def peek_member(file: BinaryIO, member: Member, count: int) -> bytes:
    """Returns the first bytes of a member, unchecked.

    Raises:
        ValueError: If it is damaged.
        zlib.error: If it is damaged.
    """
    file.seek(data_offset(file, member.offset))
    data = file.read(min(member.packed, count))
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, count) if member.deflated else data


def data_offset(file: BinaryIO, offset: int) -> int:
    """Returns where the content of the member begins whose header is at `offset`.

    Raises:
        ValueError: If there is no such header.
    """
    file.seek(offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise ValueError("no header where the directory says")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    return offset + _LOCAL_HEADER.size + int(name) + int(extra)


def read_directory(path: Path, bombs: bool = False) -> dict[str, Member]:
    """Returns the files of an archive by name, with `/` between folders, debris left out.

    Args:
        path: The archive.
        bombs: Whether members may expand beyond `MAX_RATIO` and `MAX_BYTES`.

    Raises:
        DataError: If any member is unsafe, expands too far, is encrypted, a link or listed twice,
            or the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except _DAMAGE as error:
        raise damaged_archive(path, getattr(error, "strerror", None) or str(error)) from error
    for entry in entries:
        _check_name(path, entry)
    members: dict[str, Member] = {}
    for entry in entries:
        name = _name(entry)
        if name.endswith("/"):
            continue
        _check_member(path, entry, bombs)
        if name in members:
            raise DataError(f"{path}: member {name!r} is listed twice")
        deflated = entry.compress_type == zipfile.ZIP_DEFLATED
        place = (entry.header_offset, entry.compress_size, entry.file_size)
        members[name] = Member(name, *place, deflated, entry.CRC)
    return {n: m for n, m in members.items() if not any(is_debris(p) for p in n.split("/"))}


def find_archive_frames(path: Path, prefix: str) -> tuple[list[InputVideo], list[str]]:
    """Returns each folder of pictures of an archive as a video, and warnings.

    An archive with a `frame_paths.json` is a partition of long-video-gan: that file says which
    frames make up a video. Directory entries are not needed.

    Args:
        path: The archive.
        prefix: Name of the archive if it is one of several; its videos are named after it.

    Raises:
        DataError: As `read_directory`, or if the order of frames is unclear.
    """
    members = read_directory(path)
    prefix = prefix.removesuffix(path.suffix) + "/" if prefix else ""
    if PARTITION in members:
        return _partition(path, members, prefix), []
    labels = _labels(path, members)
    folders = by_folder(members)
    holders, videos, warnings = not_leaves(folders), list[InputVideo](), list[str]()
    for folder, files in folders.items():
        name = shown_name(prefix + (folder or path.stem))
        if folder in holders:
            videos.append(refused_holder(name, len(files)))
            continue
        ordered, warning = ordered_frames(name, files)
        warnings += [warning] if warning else []
        frames = tuple(members[f"{folder}/{file}" if folder else file] for file in ordered)
        notes = ("missing_frames",) if warning else ()
        videos.append(ZippedFrames(name, name, labels.of(folder), notes, path, frames))
    return videos, warnings


def damaged_archive(path: Path, detail: str) -> DataError:
    """Returns the error of an archive that cannot be read."""
    return DataError(f"{path}: damaged archive ({detail})")


def _partition(path: Path, members: Mapping[str, Member], prefix: str) -> list[InputVideo]:
    where = f"{path}: {PARTITION}"
    videos: list[InputVideo] = []
    listing = read_json(where, _content(path, members[PARTITION]))
    if not isinstance(listing, dict):
        raise DataError(f"{where} is no list of videos")
    for folder, files in listing.items():
        if not (isinstance(files, list) and all(isinstance(file, str) for file in files)):
            raise DataError(f"{where} holds no list of frames for {folder!r}")
        names = [f"{folder}/{file}" for file in files]
        missing = next((name for name in names if name not in members), None)
        if missing is not None:
            raise damaged_archive(path, f"{PARTITION} names {missing!r}, which is missing")
        name = shown_name(prefix + folder)
        frames = tuple(members[name] for name in names)
        if frames:
            videos.append(ZippedFrames(name, name, archive=path, members=frames))
    return videos


def _labels(path: Path, members: Mapping[str, Member]) -> Labels:
    """Returns the labels in the root; an archive of one folder has its root there."""
    tops = {name.partition("/")[0] for name in members}
    roots = [LABELS, *(f"{top}/{LABELS}" for top in tops if len(tops) == 1)]
    found = [members[name] for name in roots if name in members]
    return parse_labels(f"{path}: {LABELS}", _content(path, found[0])) if found else Labels()


def _content(path: Path, member: Member) -> bytes:
    try:
        with path.open("rb") as file:
            return read_member(file, member)
    except (OSError, ValueError, zlib.error, struct.error) as error:
        raise damaged_archive(path, f"{member.name}: {error}") from error


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.orig_filename.replace("\\", "/")


def _check_name(path: Path, entry: zipfile.ZipInfo) -> None:
    name = _name(entry)
    drive = name[1:2] == ":"
    if name.startswith("/") or drive or ".." in name.split("/") or "\0" in name or not name:
        raise DataError(
            f"{path}: unsafe member name {entry.orig_filename!r} (absolute path or '..'); "
            "nothing was read"
        )
    if len(name) > _MAX_NAME:
        raise damaged_archive(path, f"member name of {len(name)} characters")


def _check_member(path: Path, entry: zipfile.ZipInfo, bombs: bool) -> None:
    name = entry.orig_filename
    if entry.flag_bits & _ENCRYPTED:
        raise DataError(f"{path}: member {name!r} is encrypted")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError(f"{path}: member {name!r} is a symbolic link")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = f"compression method {entry.compress_type} of {name!r} is not supported"
        raise damaged_archive(path, method)
    ratio = entry.file_size / max(entry.compress_size, 1)
    if not bombs and (ratio > MAX_RATIO or entry.file_size > MAX_BYTES):
        raise DataError(
            f"{path}: member {name!r} expands {ratio:.0f}x to {entry.file_size} bytes; "
            f"limit is {MAX_RATIO}x or {MAX_BYTES >> 20} MiB per member"
        )
