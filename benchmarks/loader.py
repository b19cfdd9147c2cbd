"""Clips per second of the loader, and of frames in a zip file read by worker processes.

The second is how most video GANs read their data: a JPEG per frame in one zip, Pillow, and a torch
`DataLoader`. Both read the same videos, written to a temporary folder: those of `shapes`, whose
smooth frames are quick to decode, or the first frames of real ones.

Usage: python benchmarks/loader.py [--seconds 3] [--workers N] [--batch-size 64] [--videos DIR]
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from vgbench.data.bench import LoaderSpeed, measure, rate
from vgbench.data.cache import CacheSource
from vgbench.data.clips import ClipDataset
from vgbench.data.config import ShapesConfig
from vgbench.data.draws import Draws
from vgbench.data.loader import ClipLoader
from vgbench.data.policies import choose
from vgbench.data.synthetic import ShapesSource
from vgbench.runtime import keep_memory
from vgbench.sampling import Contiguous, SamplingPolicy, Sparse
from vgbench.types import SampleRequest

FRAMES = 64
VIDEOS = {64: 400, 256: 60}
POLICIES = (Contiguous(16), Sparse(3))


class ZipClips(Dataset):
    """Clips of JPEG frames in a zip file, one item at a time, as peers read them."""

    def __init__(self, path: Path, videos: int, policy: SamplingPolicy) -> None:
        self.path, self.videos, self.policy = path, videos, policy

    def __len__(self) -> int:
        return 10**9  # without end, like the other loader

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        """One per worker process."""
        return zipfile.ZipFile(self.path)

    def __getitem__(self, n: int) -> torch.Tensor:
        draws = Draws(np.array([0], np.uint64), np.array([n], np.uint64))
        video = int(draws.below(self.videos)[0])
        frames = choose(self.policy, np.array([FRAMES]), draws).index[0]
        return torch.from_numpy(np.stack([self.frame(video, int(t)) for t in frames]))

    def frame(self, video: int, t: int) -> np.ndarray:
        """Returns one decoded frame."""
        data = self.archive.read(f"{video:05d}/{t:06d}.jpg")
        return np.array(Image.open(io.BytesIO(data)))


def write_zip(videos: np.ndarray, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for i, video in enumerate(videos):
            for t, frame in enumerate(video):
                buffer = io.BytesIO()
                Image.fromarray(frame).save(buffer, "JPEG", quality=75)
                archive.writestr(f"{i:05d}/{t:06d}.jpg", buffer.getvalue())


def prepare(videos: np.ndarray, folder: Path, resolution: int) -> CacheSource:
    np.save(folder / "videos.npy", videos)
    command = [sys.executable, "-m", "vgbench", "data", "prepare", "bench", "--codec", "raw"]
    command += ["--from", str(folder / "videos.npy"), "--resolution", str(resolution)]
    subprocess.run([*command, "--data-dir", str(folder)], check=True, capture_output=True)
    return CacheSource(folder / f"bench_{resolution}")


def procedural(resolution: int) -> np.ndarray:
    count = VIDEOS[resolution]
    shapes = ShapesSource(ShapesConfig(resolution, FRAMES, count))
    return np.stack([shapes.read(i, np.arange(FRAMES)) for i in range(count)])


def real(resolution: int, videos: Path, folder: Path) -> np.ndarray:
    command = [sys.executable, "-m", "vgbench", "data", "prepare", "real", "--from", str(videos)]
    command += ["--resolution", str(resolution), "--min-frames", str(FRAMES)]
    subprocess.run([*command, "--data-dir", str(folder)], check=True, capture_output=True)
    cache = CacheSource(folder / f"real_{resolution}")
    return np.stack([cache.read(i, np.arange(FRAMES)) for i in range(len(cache))])


def zip_rate(clips: ZipClips, batch_size: int, workers: int, seconds: float) -> float:
    loader = DataLoader(
        clips, batch_size, num_workers=workers, persistent_workers=True, prefetch_factor=2
    )
    batches = iter(loader)
    for _ in range(2 * workers):  # what the workers read before the clock starts
        next(batches)
    return rate(lambda: next(batches), seconds) * batch_size


def row(name: str, speed: LoaderSpeed, other: float) -> str:
    mine = f"{speed.clips_per_s:,.0f} | {speed.bytes_per_s / 1e9:.1f} GB/s | {speed.ratio:.0%}"
    return f"| {name} | {mine} | {other:,.0f} | {speed.clips_per_s / other:.0f}x |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--videos", type=Path, help="Folder of real videos (default: shapes).")
    options = parser.parse_args()
    keep_memory()
    print("| clips | clips/s | pixels | of memcpy | zip clips/s | factor |")
    print("|---|---|---|---|---|---|")
    for resolution in VIDEOS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            given = options.videos
            videos = real(resolution, given, folder) if given else procedural(resolution)
            write_zip(videos, folder / "frames.zip")
            source = prepare(videos, folder, resolution)
            for policy in POLICIES:
                clips = ClipDataset(source, SampleRequest(policy), seed=0)
                speed = measure(ClipLoader(clips, options.batch_size), options.seconds)
                peers = ZipClips(folder / "frames.zip", len(videos), policy)
                other = zip_rate(peers, options.batch_size, options.workers, options.seconds)
                print(row(f"{resolution}x{resolution}, {policy}", speed, other), flush=True)


if __name__ == "__main__":
    main()
