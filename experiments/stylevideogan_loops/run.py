"""Tells whether StyleVideoGAN's long videos loop, with and without the gradient angle penalty.

    python experiments/stylevideogan_loops/run.py
    python experiments/stylevideogan_loops/run.py --weights 100,10,0 --seeds 0,1,2 \
        --words budget.kclips=32

Trains one model per weight of the penalty and seed, on the demo's data with the `identity` backend;
stages and latents of frames are shared. Runs that are finished are found again, and those that were
stopped go on. Then measures, in the latents of long videos, the share of segments of 16 frames that
a video shows more than once (`repeating_share`); writes a Markdown table of it and of what the
penalty acts on.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import torch
from einops import rearrange

from vgbench.config.compose import compose
from vgbench.errors import VGBenchError
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

COLUMNS = ("repeating", "phi", "spread")


def trained(weight: float, seed: int, options: argparse.Namespace) -> StyleVideoGAN:
    """Returns the model of one run, trained as far as the options say."""
    folder = RunFolder(options.out / f"weight-{weight:g}-seed-{seed}")
    words = [
        "model=stylevideogan",
        "model.backend=identity",
        "dataset=shapes",
        *options.words,
        f"model.training.angle_weight={weight}",
        f"seed={seed}",
    ]
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
def measured(model: StyleVideoGAN, clips: int, frames: int) -> dict[str, float]:
    """Returns what the table shows of one model: means over `clips` videos of `frames` frames."""
    network, steps = model.sampler, model.config.training.frames - 1
    sources = [seeded_generator(0, "loops", i) for i in range(clips)]
    long = network.scale.standardize(torch.cat(list(rollout(network, clips, frames, sources)), 1))
    shares = [repeating_share(video) for video in rearrange(long, "b t l d -> b t (l d)")]
    codes = codes_of_fixed_starts(network, 8, 32, steps, seeded_generator(0, "spread"))
    phi = measure_angle(network, model.angle, 64, steps, seeded_generator(0, "angle")).phi
    return {
        "repeating": statistics.fmean(shares),
        "phi": float(phi.mean()),
        "spread": float(diversity(codes)[-1]),
    }


def main() -> int:
    """Trains, measures and writes; returns the exit code."""
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("--weights", default="100,0", help="of the penalty")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--frames", type=int, default=512, help="of the long videos")
    parser.add_argument("--clips", type=int, default=32, help="long videos per model")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch's choice")
    parser.add_argument("--out", type=Path, default=Path("loops"), help="folder of runs and table")
    parser.add_argument("--words", nargs="*", default=[], help="further options of the runs")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    lines = [f"| weight | seed | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for weight in map(float, options.weights.split(",")):
        for seed in map(int, options.seeds.split(",")):
            try:
                row = measured(trained(weight, seed, options), options.clips, options.frames)
            except VGBenchError as error:
                print(f"error: {error}", file=sys.stderr)
                return error.exit_code
            cells = " | ".join(f"{row[name]:.3f}" for name in COLUMNS)
            lines.append(f"| {weight:g} | {seed} | {cells} |")
            print(lines[-1], flush=True)
    table = "\n".join(lines)
    (options.out / "loops.md").write_text(f"{table}\n", encoding="utf-8")
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
