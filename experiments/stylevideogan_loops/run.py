"""Tells whether StyleVideoGAN's long videos loop, with and without the gradient angle penalty.

    python experiments/stylevideogan_loops/run.py
    python experiments/stylevideogan_loops/run.py --seeds 0 --words budget.kclips=32
    python experiments/stylevideogan_loops/run.py --stages-of runs/stylevideogan-shapes-2026-1a2b
    python experiments/stylevideogan_loops/run.py --toy 8

Trains one model per weight of the penalty and seed. By default latents are cosines of pictures
(backend `identity`) of shapes, so nothing else is trained; with `--stages-of RUN` they are those of
the image GAN and the encoder that an earlier run made of `shapes`. Runs that are finished are found
again, and those that were stopped go on. With `--toy FRAMES` latents are smooth random motion,
which unlike that of shapes never repeats; training clips have so many frames, and nothing is kept.

Then measures, in the latents of long videos, the share of segments of 16 frames that a video shows
more than once (`repeating_share`), one column per tolerance; the mean step between frames
(`roughness`); and what the penalty acts on: the mean gradient angle `phi`, and the `spread` of the
last frame of a training clip over motions with the first frame fixed. Writes `loops.csv` and
`loops.md`; the row `data` is of real videos as long.
"""

import argparse
import csv
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vgbench.config.compose import compose
from vgbench.data.config import ProceduralConfig
from vgbench.data.sources import open_dataset
from vgbench.errors import CheckpointError, VGBenchError
from vgbench.models.checkpoint import load_model
from vgbench.models.stylevideogan.diagnostics import (
    codes_of_fixed_starts,
    diversity,
    measure_angle,
    repeating_share,
    roughness,
)
from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.losses import GradientAngle
from vgbench.models.stylevideogan.module import StyleVideoGAN
from vgbench.models.stylevideogan.options import TrainingOptions
from vgbench.models.stylevideogan.rollout import rollout
from vgbench.models.stylevideogan.toy import toy_latents, trained_on_toy
from vgbench.nn.noise import seeded_generator
from vgbench.training.fit import Listener
from vgbench.training.run_folder import RunFolder
from vgbench.training.stages import run
from vgbench.video import to_model_range


class Studied(NamedTuple):
    """A trained model and what it was trained on.

    Attributes:
        network: The generator that samples, in eval mode.
        angle: The gradient angle, in eval mode.
        frames: Frames of a training clip.
        real: Returns the latents of real videos, "n t l d", as long as those to measure.
    """

    network: Generator
    angle: GradientAngle
    frames: int
    real: Callable[[], Tensor]


def stage_words(earlier: Path) -> list[str]:
    """Returns the words by which a run starts from the stages of an earlier one.

    Raises:
        CheckpointError: If the earlier run has no finished stages, or its artefacts are gone.
    """
    try:
        stages = json.loads((earlier / "stages.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{earlier} has no finished stages: {error}") from error
    words = []
    for name, about in stages.items():
        path = Path(about.get("given") or earlier.parent / "artefacts" / about["artefact"])
        if not path.exists():
            raise CheckpointError(f"the stage '{name}' of {earlier} is gone: no {path}")
        words.append(f"model.init.{name}={path}")
    return words


def run_words(weight: float, seed: int, options: argparse.Namespace) -> list[str]:
    """Returns the words of one run; the user's come last."""
    earlier = options.stages_of
    alone = ("dataset.periodic=false", "model.backend=identity")
    return [
        *("model=stylevideogan", "dataset=shapes", *(stage_words(earlier) if earlier else alone)),
        *options.words,
        *(f"model.training.angle_weight={weight:g}", f"seed={seed}"),
    ]


def trained_run(weight: float, seed: int, options: argparse.Namespace) -> Studied:
    """Returns the model of one run, trained as far as the options say."""
    folder = RunFolder(options.out / f"weight-{weight:g}-seed-{seed}")
    words = run_words(weight, seed, options)
    status = folder.path / "status.json"
    started = folder.last.is_file()
    if not started or json.loads(status.read_text(encoding="utf-8"))["state"] != "done":
        config = compose(words, options.out / "data")
        tell = Listener(message=lambda line: print(line, file=sys.stderr))
        run(config, folder, words, tell, options.out / "artefacts", resume=started)
    model = load_model(folder.path)
    assert isinstance(model, StyleVideoGAN)
    network, frames = model.sampler, model.config.training.frames
    assert isinstance(network, Generator)
    return Studied(network, model.angle, frames, partial(real_latents, model, options))


def trained_toy(weight: float, seed: int, options: argparse.Namespace) -> Studied:
    """Returns a model trained on the toy."""
    training = TrainingOptions(options.toy, critic_steps=2, lr=1e-3, angle_weight=weight)
    gan = trained_on_toy(training, options.toy_steps, seed)
    source = seeded_generator(0, "long toy videos")
    real = partial(toy_latents, options.clips, options.frames, source)
    return Studied(gan.generator, gan.angle, options.toy, real)


@torch.no_grad()
def real_latents(model: StyleVideoGAN, options: argparse.Namespace) -> Tensor:
    """Returns the latents of real videos by a model's encoder."""
    dataset = compose(run_words(0.0, 0, options), options.out / "data").dataset
    assert isinstance(dataset, ProceduralConfig)
    source = open_dataset(replace(dataset, frames=options.frames))
    numbers = np.arange(options.frames)
    latents = []
    for i in range(options.clips):
        video = to_model_range(torch.from_numpy(source.read(i, numbers))[None])
        latents.append(model.backend.encode(rearrange(video, "1 c t h w -> t c h w")))
    return torch.stack(latents)


@torch.no_grad()
def measured(studied: Studied, options: argparse.Namespace) -> dict[str, float]:
    """Returns what the table shows of one model: means over its long videos."""
    network, steps, clips = studied.network, studied.frames - 1, options.clips
    sources = [seeded_generator(0, "loops", i) for i in range(clips)]
    long = torch.cat(list(rollout(network, clips, options.frames, sources)), dim=1)
    codes = codes_of_fixed_starts(network, 8, 32, steps, seeded_generator(0, "spread"))
    phi = measure_angle(network, studied.angle, 64, steps, seeded_generator(0, "angle")).phi
    seen = measured_videos(network, long, options)
    return seen | {"phi": float(phi.mean()), "spread": float(diversity(codes)[-1])}


def measured_videos(
    network: Generator, ws: Float[Tensor, "n t l d"], options: argparse.Namespace
) -> dict[str, float]:
    """Returns what the table shows of videos, in the units of a model."""
    standard = network.scale.standardize(ws)
    videos = rearrange(standard, "n t l d -> n t (l d)")
    shares = {
        f"repeating {text}": statistics.fmean(
            repeating_share(video, tolerance=float(text)) for video in videos
        )
        for text in options.tolerances.split(",")
    }
    return shares | {"roughness": float(roughness(standard))}


def markdown(row: Mapping[str, object]) -> str:
    """Returns a row of the table."""
    return f"| {' | '.join(str(value) for value in row.values())} |"


def formatted(weight: str, seed: str, found: Mapping[str, float]) -> dict[str, str]:
    """Returns a row of the table as texts; what is not measured of data is empty."""
    numbers = {name: f"{value:.3f}" for name, value in found.items()}
    missing = {name: "" for name in ("phi", "spread") if name not in found}
    return {"weight": weight, "seed": seed, **numbers, **missing}


def write(folder: Path, rows: list[dict[str, str]]) -> None:
    """Writes the table twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "loops.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|", *map(markdown, rows)]
    (folder / "loops.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def compared(options: argparse.Namespace) -> None:
    """Trains and measures; the tables grow with every model."""
    rows: list[dict[str, str]] = []
    trained = trained_run if options.toy is None else trained_toy
    for weight in map(float, options.weights.split(",")):
        for seed in map(int, options.seeds.split(",")):
            studied = trained(weight, seed, options)
            if not rows:
                data = measured_videos(studied.network, studied.real(), options)
                rows.append(formatted("data", "", data))
                print(markdown(rows[0]), flush=True)
            rows.append(formatted(f"{weight:g}", str(seed), measured(studied, options)))
            print(markdown(rows[-1]), flush=True)
            write(options.out, rows)


def main(words: list[str] | None = None) -> int:
    """Returns the exit code."""
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("--weights", default="100,0", help="of the penalty")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--frames", type=int, default=512, help="of the long videos")
    parser.add_argument("--clips", type=int, default=32, help="long videos per model")
    parser.add_argument("--tolerances", default="0.1,0.2,0.3", help="of `repeating_share`")
    parser.add_argument("--stages-of", type=Path, help="run whose image GAN and encoder are used")
    parser.add_argument("--toy", type=int, metavar="FRAMES", help="train on clips of the toy")
    parser.add_argument("--toy-steps", type=int, default=600, help="generator steps on the toy")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch's choice")
    parser.add_argument("--out", type=Path, default=Path("loops"), help="folder of runs and tables")
    parser.add_argument("--words", nargs="*", default=[], help="further options of the runs")
    options = parser.parse_args(words)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        compared(options)
    except VGBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
