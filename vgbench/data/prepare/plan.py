"""What `data prepare` is going to do: the videos, the key of the result, the space it needs."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av

from vgbench.data.cache import damaged, open_cache
from vgbench.data.config import CACHE_VERSION, MANIFEST, cache_config, read_manifest
from vgbench.data.decode import Header, RefusedError
from vgbench.data.hashing import hash_lines
from vgbench.data.inputs.base import InputVideo
from vgbench.data.inputs.find import find_inputs
from vgbench.data.prepare.options import Options
from vgbench.data.prepare.shards import finished_file
from vgbench.data.prepare.split import parse_split
from vgbench.data.prepare.worker import Pool, Task
from vgbench.errors import DataError

SOURCES = "sources.json"
AUTO = ("raw", "jpeg:95")
_OPEN_LIMIT_S = 60.0
_KEPT_FREE = 0.05
_JPEG_SHARE = 0.2  # of the raw bytes, at quality 95


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        name: Name of the data set.
        source: Folder or file.
        target: Folder of the cache, which need not exist.
        options: What the pixels depend on; the codec may still be `auto`, the kind is found out.
        kind: How to read the source; None finds out.
        follow_links: Whether links out of the source are followed.
        split: Shares train:val:test such as `80:10:10`; empty puts everything into train.
        budget: Bytes up to which codec `auto` is raw.
        licence: Note on what the videos may be used for.
        resume: Continue interrupted work, and mistrust a finished cache: check its hashes.
    """

    name: str
    source: Path
    target: Path
    options: Options
    kind: str | None = None
    follow_links: bool = False
    split: str = ""
    budget: int = 64 * 2**30
    licence: str = ""
    resume: bool = False


@dataclass(frozen=True)
class Source:
    """One video of the source, with its content known.

    Attributes:
        video: What is opened.
        bytes: Size.
        mtime_ns: Time of the last change; only spares hashing an unchanged file again.
        content: Hash of the content.
    """

    video: InputVideo
    bytes: int
    mtime_ns: int
    content: str


@dataclass(frozen=True)
class Plan:
    """All that is known before any frame is decoded.

    Attributes:
        request: What was asked for, with kind and codec decided.
        reason: How the kind was found out.
        sources: Videos in natural order.
        ignored: Number of files that are no data.
        warnings: Lines for the user about what was found.
        key: Key of the resulting cache.
        headers: What each container claims, or why it cannot be opened.
        up_to_date: Whether the target already holds exactly this; `headers` is then empty.
    """

    request: Request
    reason: str
    sources: tuple[Source, ...]
    ignored: int
    warnings: tuple[str, ...]
    key: str
    headers: tuple[Header | RefusedError, ...] = ()
    up_to_date: bool = False

    @property
    def target(self) -> Path:
        """Folder of the cache."""
        return self.request.target

    @property
    def options(self) -> Options:
        """What the pixels depend on."""
        return self.request.options

    @property
    def work_folder(self) -> Path:
        """Where the cache grows; the same for the same key, so that work can be continued."""
        return self.target.with_name(f"{self.target.name}.tmp-{self.key[:12]}")

    @property
    def estimated_frames(self) -> int:
        """Sum of the claimed frame counts; headers may lie either way."""
        return sum(_estimated_frames(h, self.options) for h in self.headers)

    @property
    def estimated_bytes(self) -> int:
        """Bytes of the frames as they are stored."""
        return _stored_bytes(self.estimated_frames, self.options)

    @property
    def free_bytes(self) -> int:
        """Free space where the cache will be."""
        return shutil.disk_usage(_existing(self.target)).free

    def check_space(self) -> None:
        """Raises if the cache would not leave 5 % of the free space.

        Raises:
            DataError: With what is needed and what is free.
        """
        done = sum(path.stat().st_size for path in self.work_folder.glob("shard-*"))
        needed = max(0, self.estimated_bytes - done * self.request.resume)
        if needed > self.free_bytes * (1 - _KEPT_FREE):
            needs, free = size_text(needed), size_text(self.free_bytes)
            raise DataError(f"needs {needs}, only {free} free at {_existing(self.target)}")


def make_plan(request: Request, pool: Pool, progress: Callable[[str, int, int], None]) -> Plan:
    """Returns the plan: hashes all videos and, unless nothing is to be done, opens each.

    Args:
        request: What was asked for.
        pool: Opens the videos; not started if nothing is to be done.
        progress: Called with the stage, the number of videos done and their total.

    Raises:
        DataError: If there is nothing to prepare or the target is not a cache.
        UsageError: If an option is out of range.
    """
    _check(request)
    options = request.options
    found = find_inputs(
        request.source, kind=request.kind, chunk=options.chunk, follow_links=request.follow_links
    )
    request = replace(request, kind=found.kind, options=replace(options, kind=found.kind))
    sources = tuple(_hash_all(found.videos, request.target, progress))
    plan = Plan(request, found.reason, sources, found.ignored, found.warnings, key="")
    for codec in AUTO if options.codec == "auto" else (options.codec,):
        candidate = _with_codec(plan, codec)
        if _holds(request, candidate.key):
            return replace(candidate, up_to_date=True)
    return _with_headers(plan, pool, progress)


def cache_key(sources: tuple[Source, ...], options: Options, split: str) -> str:
    """Returns the blake2b-256 of all contents, options and decoding libraries, in hex.

    The kind of the source is left out: a folder and a zip of the same frames are the same data.
    """
    content = {
        "version": CACHE_VERSION,
        "files": sorted((source.video.name, source.content) for source in sources),
        "options": {name: value for name, value in asdict(options).items() if name != "kind"},
        "split": split,
        "libraries": libraries(),
    }
    return hash_lines([json.dumps(content, sort_keys=True)])


def libraries() -> dict[str, str]:
    """Returns the versions that pixels depend on: FFmpeg's libavcodec and libswscale, Pillow."""
    parts = {name: av.library_versions[name][:2] for name in ("libavcodec", "libswscale")}
    return {
        **{name: ".".join(map(str, numbers)) for name, numbers in parts.items()},
        "pillow": version("pillow"),
    }


def size_text(count: int) -> str:
    """Returns a number of bytes for people, e.g. `3.84 GB`."""
    if count < 1000:
        return f"{count} B"
    power = min((len(str(count)) - 1) // 3, 4)
    return f"{count / 1000**power:.2f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def read_header(video: InputVideo) -> Header:
    """Returns what the container claims; run in a worker, since opening can hang as well."""
    with video.open() as reader:
        return reader.header


def _check(request: Request) -> None:
    target = request.target
    parse_split(request.split)
    request.options.check()
    if target.exists() and not (target / MANIFEST).is_file():
        raise DataError(f"{target} exists and is not a cache; move it away or choose another name")


def _with_codec(plan: Plan, codec: str) -> Plan:
    request = replace(plan.request, options=replace(plan.options, codec=codec))
    key = cache_key(plan.sources, request.options, request.split)
    return replace(plan, request=request, key=key)


def _with_headers(plan: Plan, pool: Pool, progress: Callable[[str, int, int], None]) -> Plan:
    tasks = (Task(_OPEN_LIMIT_S, read_header, (source.video,)) for source in plan.sources)
    headers = []
    for header in pool.ordered(tasks):
        headers.append(header)
        progress("opening", len(headers), len(plan.sources))
    plan = replace(plan, headers=tuple(headers))
    codec = plan.options.codec
    if codec == "auto":
        raw, packed = AUTO
        fits = _with_codec(plan, raw).estimated_bytes <= plan.request.budget
        codec = raw if fits else packed
    return _with_codec(plan, codec)


def _estimated_frames(header: Header | RefusedError, options: Options) -> int:
    if isinstance(header, RefusedError):
        return 0
    frames = header.estimated_frames()
    if options.fps and header.duration_s:
        frames = int(header.duration_s * options.fps)
    frames //= options.stride
    # the limit is per piece, and a film that is cut has unknown many
    cut = options.max_frames and not options.chunk and options.scene_cuts != "split"
    return min(frames, options.max_frames) if cut else frames


def _stored_bytes(frames: int, options: Options) -> int:
    raw = frames * options.resolution**2 * 3
    return raw if options.codec == "raw" else int(raw * _JPEG_SHARE)


def _hash_all(
    videos: tuple[InputVideo, ...], target: Path, progress: Callable[[str, int, int], None]
) -> Iterator[Source]:
    known = _known(target)
    for number, video in enumerate(videos):
        size, mtime_ns = video.stamp()
        content = known.get(video.name, {}).get((size, mtime_ns)) or _content(video)
        yield Source(video, size, mtime_ns, content)
        progress("hashing", number + 1, len(videos))


def _content(video: InputVideo) -> str:
    try:
        return video.content()
    except RefusedError as refusal:  # it will be refused again, for the same reason
        return f"refused:{refusal.reason}"
    except OSError as error:
        raise DataError(f"cannot read {video.name}: {error.strerror}") from error


def _known(target: Path) -> dict[str, dict[tuple[int, int], str]]:
    """Returns the hashes that earlier runs noted, by name, size and time of the last change."""
    known: dict[str, dict[tuple[int, int], str]] = {}
    for path in (*target.parent.glob(f"{target.name}.tmp-*/{SOURCES}"), target / SOURCES):
        if path.is_file():
            for name, size, mtime_ns, content in _rows(path):
                known.setdefault(name, {})[size, mtime_ns] = content
    return known


def _rows(path: Path) -> list[Any]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return []  # a crash while it was written


def _holds(request: Request, key: str) -> bool:
    folder = request.target
    try:
        config = cache_config(folder) if folder.exists() else None
        if config is None or config.key != key:
            return False
        manifest = read_manifest(folder)
        if request.resume:
            check_hashes(folder, manifest, lambda *_: None)
        open_cache(config, next(iter(manifest["splits"])))
    except DataError:
        return False  # an older or damaged cache is written anew
    return True


def check_hashes(
    folder: Path, manifest: dict[str, Any], progress: Callable[[int, int], None]
) -> None:
    """Reads every shard and the index, and compares them with what was written.

    Args:
        folder: The cache.
        manifest: Its manifest.
        progress: Called with the number of files done and their total.

    Raises:
        DataError: If a file differs; names it.
    """
    shards = [shard["files"] for shard in manifest["shards"]]
    files = {name: file for group in (manifest["files"], *shards) for name, file in group.items()}
    for number, (name, expected) in enumerate(files.items()):
        path = folder / name
        if not path.is_file():
            raise damaged(folder, name, "missing")
        if asdict(finished_file(path)) != expected:
            raise damaged(folder, name, "hash mismatch")
        progress(number + 1, len(files))


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
