"""Tells whether StyleVideoGAN's long videos loop, with and without the gradient angle penalty.

    python experiments/stylevideogan_loops/run.py
    python experiments/stylevideogan_loops/run.py --seeds 0 --words budget.kclips=32
    python experiments/stylevideogan_loops/run.py --stages-of runs/stylevideogan-shapes-2026-1a2b

Trains one model per weight of the penalty and seed. By default latents are cosines of pictures
(backend `identity`) of shapes that never repeat their motion, so nothing else is trained; with
`--stages-of RUN` they are those of the image GAN and the encoder that an earlier run made of
`shapes`. Runs that are finished are found again, and those that were stopped go on.

Then measures, in the latents of long videos, the share of segments of 16 frames that a video shows
more than once (`repeating_share`), and what the penalty acts on: the mean gradient angle `phi`, and
the `spread` of the last frame of a training clip over motions with the first frame fixed. Writes
`loops.csv` and `loops.md`; the row `data` is of real videos as long.
"""

import argparse
import csv
import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

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
)
from vgbench.models.stylevideogan.module import StyleVideoGAN
from vgbench.models.stylevideogan.rollout import rollout
from vgbench.nn.noise import seeded_generator
from vgbench.training.fit import Listener
from vgbench.training.run_folder import RunFolder
from vgbench.training.stages import run
from vgbench.video import to_model_range

COLUMNS = ("repeating", "phi", "spread")


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


def trained(weight: float, seed: int, options: argparse.Namespace) -> StyleVideoGAN:
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
    return model


@torch.no_grad()
def measured(model: StyleVideoGAN, options: argparse.Namespace) -> dict[str, float]:
    """Returns what the table shows of one model: means over its long videos."""
    network, steps = model.sampler, model.config.training.frames - 1
    clips, frames = options.clips, options.frames
    sources = [seeded_generator(0, "loops", i) for i in range(clips)]
    long = torch.cat(list(rollout(network, clips, frames, sources)), dim=1)
    codes = codes_of_fixed_starts(network, 8, 32, steps, seeded_generator(0, "spread"))
    phi = measure_angle(network, model.angle, 64, steps, seeded_generator(0, "angle")).phi
    return {
        "repeating": repeating(model, long, options.tolerance),
        "phi": float(phi.mean()),
        "spread": float(diversity(codes)[-1]),
    }


@torch.no_grad()
def measured_data(model: StyleVideoGAN, options: argparse.Namespace) -> dict[str, float]:
    """Returns what the table shows of real videos, in the latents of a model."""
    dataset = compose(run_words(0.0, 0, options), options.out / "data").dataset
    assert isinstance(dataset, ProceduralConfig)
    source = open_dataset(replace(dataset, frames=options.frames))
    numbers = np.arange(options.frames)
    latents = []
    for i in range(options.clips):
        video = to_model_range(torch.from_numpy(source.read(i, numbers))[None])
        latents.append(model.backend.encode(rearrange(video, "1 c t h w -> t c h w")))
    return {"repeating": repeating(model, torch.stack(latents), options.tolerance)}


def repeating(model: StyleVideoGAN, ws: Float[Tensor, "n t l d"], tolerance: float) -> float:
    """Returns the mean share of repeating segments."""
    standard = model.sampler.scale.standardize(ws)
    return statistics.fmean(
        repeating_share(video, tolerance=tolerance)
        for video in rearrange(standard, "n t l d -> n t (l d)")
    )


def markdown(row: Mapping[str, object]) -> str:
    """Returns a row of the table."""
    return f"| {' | '.join(str(value) for value in row.values())} |"


def formatted(weight: str, seed: str, found: Mapping[str, float]) -> dict[str, str]:
    """Returns a row of the table as texts; what was not measured is empty."""
    numbers = {name: f"{found[name]:.3f}" if name in found else "" for name in COLUMNS}
    return {"weight": weight, "seed": seed, **numbers}


def write(folder: Path, rows: list[dict[str, str]]) -> None:
    """Writes the table twice."""
    with (folder / "loops.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|", *map(markdown, rows)]
    (folder / "loops.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def compared(options: argparse.Namespace) -> None:
    """Trains and measures; the tables grow with every model."""
    rows: list[dict[str, str]] = []
    for weight in map(float, options.weights.split(",")):
        for seed in map(int, options.seeds.split(",")):
            model = trained(weight, seed, options)
            if not rows:
                rows.append(formatted("data", "", measured_data(model, options)))
                print(markdown(rows[0]), flush=True)
            found = measured(model, options)
            rows.append(formatted(f"{weight:g}", str(seed), found))
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
    parser.add_argument("--tolerance", type=float, default=0.3, help="of `repeating_share`")
    parser.add_argument("--stages-of", type=Path, help="run whose image GAN and encoder are used")
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
