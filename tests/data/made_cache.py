"""Caches written on the spot, whose pixels say which video and frame they are."""

import io
import json

import numpy as np
from PIL import Image

from vgbench.data.cache import INDEX, CacheSource, shard_files
from vgbench.data.config import CACHE_VERSION, MANIFEST


def made_cache(folder, lengths, side=2, per_shard=100, codec="raw", labels=None):
    """Writes a cache with videos of the given lengths and returns its source."""
    folder.mkdir()
    shard = np.arange(len(lengths)) // per_shard
    offset = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    offset -= offset[np.searchsorted(shard, shard)]
    names = [f"v{i}" for i in range(len(lengths))]
    index = {
        "video_id": names, "source": names, "group": names, "n_frames": lengths, "shard": shard,
        "offset": offset, "fps": np.full(len(lengths), 25.0), "split": ["train"] * len(lengths),
        "label": np.full(len(lengths), -1) if labels is None else labels,
    }  # fmt: skip
    np.savez(folder / INDEX, **{key: np.asarray(column) for key, column in index.items()})
    shards = []
    for number in range(shard[-1] + 1):
        videos = np.flatnonzero(shard == number)
        frames = np.concatenate([_video(i, lengths[i], side) for i in videos])
        _write(folder, shard_files(number, codec), frames)
        files = {name: (folder / name).stat().st_size for name in shard_files(number, codec)}
        shards.append({"frames": len(frames), "files": {k: {"bytes": n} for k, n in files.items()}})
    manifest = {
        "version": CACHE_VERSION, "name": "made", "resolution": side, "videos": len(lengths),
        "longest": int(max(lengths)), "fps": 25.0, "key": "c" * 64, "options": {"codec": codec},
        "split": None, "shards": shards,
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return CacheSource(folder)


def _video(i, length, side):
    video = np.zeros((length, side, side, 3), np.uint8)
    video[..., 0], video[..., 1] = i % 256, np.arange(length)[:, None, None]
    video[..., 2] = i // 256 % 256
    return video


def _write(folder, names, frames):
    if len(names) == 1:
        np.save(folder / names[0], frames)
        return
    pictures = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=100, subsampling=0)
        pictures.append(buffer.getvalue())
    (folder / names[0]).write_bytes(b"".join(pictures))
    offsets = np.cumsum([0, *map(len, pictures)]).astype(np.uint64)
    np.save(folder / names[1], offsets)
