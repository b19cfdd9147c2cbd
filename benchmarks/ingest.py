"""Frames read from a video file per second by one process: `python -m benchmarks.ingest`.

The baseline is what most loaders do: `frame.to_ndarray(format="rgb24")`, which builds a new
scaler for every frame. Both decode the same H.264 file of the wanted size, so that nothing is
cropped or resized. `read`: to arrays in memory; `write`: and on to a file of raw frames, as
`prepare` does before it cuts shards. `decode` is FFmpeg's decoder alone, the floor of both.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from vgbench.data.decode import VideoReader
from vgbench.data.inputs.find import find_inputs
from vgbench.data.prepare.options import Options
from vgbench.data.prepare.work import make_pieces


def write_film(path: Path, side: int, frames: int) -> None:
    drift = np.random.default_rng(0).integers(0, 256, (side // 8 + 2, side // 8 + 2, 3))
    picture = np.kron(drift, np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for t in range(frames):
            window = picture[t % 8 : t % 8 + side, t % 16 : t % 16 + side]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(window), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def decode(path: Path, out: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def plain_read(path: Path, out: Path) -> None:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def plain_write(path: Path, out: Path) -> None:
    with av.open(str(path)) as container, out.open("wb") as file:
        for frame in container.decode(video=0):
            file.write(frame.to_ndarray(format="rgb24").tobytes())


def read(path: Path, out: Path) -> None:
    with VideoReader(path) as frames:
        for _ in frames:
            pass


def write(path: Path, out: Path, side: int) -> None:
    (video,) = find_inputs(path).videos
    make_pieces(video, Options(side), out)


WORKS: dict[str, Callable[..., None]] = {
    "decode": decode,
    "plain read": plain_read,
    "read": read,
    "plain write": plain_write,
}


def rate(work: Callable[[Path], None], out: Path, frames: int, repeats: int) -> float:
    """Returns frames per second, the best of several."""
    spent = []
    for _ in range(repeats):
        out.unlink(missing_ok=True)  # to give its pages back takes time, too
        start = time.perf_counter()
        work(out)
        spent.append(time.perf_counter() - start)
    return frames / min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="where to write; a disk in memory leaves the disk out")
    options = parser.parse_args()
    columns = [*WORKS, "write", "read", "write"]
    print("| px | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for side in (64, 128, 256):
            film, out = Path(folder) / f"{side}.mp4", Path(folder) / "frames"
            write_film(film, side, options.frames)
            speed = {
                name: rate(partial(work, film), out, options.frames, options.repeats)
                for name, work in {**WORKS, "write": partial(write, side=side)}.items()
            }
            factors = [speed[name] / speed[f"plain {name}"] for name in ("read", "write")]
            cells = [f"{value:,.0f}" for value in speed.values()]
            cells += [f"{factor:.1f}x" for factor in factors]
            print(f"| {side} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
