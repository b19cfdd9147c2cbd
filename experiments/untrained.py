"""Measures what a run's model would score with nothing learned.

    python experiments/untrained.py runs/styleinv-shapes-1a2b
    python experiments/untrained.py RUN --protocol hed16/demo --device cpu

A model with stages starts from what they learned, and may copy networks that they trained:
StyleInV's begins as the encoder of the stage `inversion`. Its first checkpoint is therefore no
untrained model. Three models are measured on the data set of the run:

first        the first checkpoint, as the stages leave it
own drawn    the same, but the generator that the run trains has the weights that it was drawn with
all drawn    every network has
"""

import argparse
import sys
from pathlib import Path

from vgbench.data.sources import open_dataset
from vgbench.errors import VGBenchError
from vgbench.evaluation import evaluate
from vgbench.models.base import VideoGAN
from vgbench.models.checkpoint import build_model, load_model
from vgbench.training.run_folder import RunFolder

FIRST = "kclip-00000.000.ckpt"


def variants(run: RunFolder) -> dict[str, VideoGAN]:
    """Returns the three models by name."""
    first, own = (load_model(run.path / "checkpoints" / FIRST) for _ in range(2))
    drawn = build_model(own.config, own.spec, run.config().seed)
    own.sampler.load_state_dict(drawn.sampler.state_dict())
    return {"first": first, "own drawn": own, "all drawn": drawn.eval()}


def main(words: list[str] | None = None) -> int:
    """Prints a Markdown table; see the module. Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--protocol", default="hed16/demo")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(words)
    lines = [f"| model | {options.protocol} | 95 % |", "|---|---|---|"]
    try:
        run = RunFolder.open(options.run, writes=False)
        source = open_dataset(run.config().dataset, "train")
        for name, model in variants(run).items():
            (row,) = evaluate(source, model, options.protocol, device=options.device)
            lines.append(f"| {name} | {row.value:.4f} | {row.ci_lo:.4f} to {row.ci_hi:.4f} |")
    except VGBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
