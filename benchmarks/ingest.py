"""Frames decoded into a cache per second by one process: `python -m benchmarks.ingest`.

The baseline is what most loaders do: `frame.to_ndarray(format="rgb24")`, which builds a new
scaler for every frame. Both decode the same H.264 file of the wanted size, so that nothing is
cropped or resized, and write the raw frames to a file.
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


def baseline(path: Path, out: Path) -> None:
    with av.open(str(path)) as container, out.open("wb") as file:
        for frame in container.decode(video=0):
            file.write(frame.to_ndarray(format="rgb24").tobytes())


def ours(path: Path, side: int, out: Path) -> None:
    (video,) = find_inputs(path).videos
    make_pieces(video, Options(side), out)


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
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for side in (64, 128, 256):
            film, out = Path(folder) / f"{side}.mp4", Path(folder) / "frames"
            write_film(film, side, options.frames)
            count, repeats = options.frames, options.repeats
            plain = rate(partial(baseline, film), out, count, repeats)
            fast = rate(partial(ours, film, side), out, count, repeats)
            print(
                f"{side:4d} px  ours {fast:8,.0f} frames/s  "
                f"to_ndarray {plain:8,.0f} frames/s  {fast / plain:5.1f}x"
            )


if __name__ == "__main__":
    main()
