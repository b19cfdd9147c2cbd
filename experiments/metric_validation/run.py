"""Measures how a feature core responds to damage; writes a Markdown and a CSV table.

    python experiments/metric_validation/run.py                           shapes, jet, n = 256
    python experiments/metric_validation/run.py --core i3d --n 128        shapes, installed I3D
    python experiments/metric_validation/run.py --clips FOLDER            real videos
    python experiments/metric_validation/run.py --checkpoints RUN_FOLDER  samples of a training run

The table names the weights of the core.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from footage import Trial, checkpoint_trials, real_trials, shapes_trials

from vgbench.errors import VGBenchError
from vgbench.metrics.damage import Clip
from vgbench.metrics.extractors.base import FeatureExtractor, open_extractor
from vgbench.metrics.extractors.jet import Jet, JetNormalizer
from vgbench.metrics.normalise import ZScore
from vgbench.metrics.statistics import two_sample
from vgbench.metrics.validation import Response, Settings, validate
from vgbench.metrics.validation_table import markdown_table, write_csv
from vgbench.subjects import open_real

SHARES = ("precision", "recall", "density", "coverage")  # larger is better


def extract(
    clips: Sequence[Clip], extractor: FeatureExtractor, device: torch.device, batch: int
) -> np.ndarray:
    """Returns a feature row per clip; of one frame per clip if the core looks at images."""
    tensor = torch.from_numpy(np.stack(clips))
    if extractor.name.startswith("inception"):
        middle = tensor.shape[1] // 2
        tensor = tensor[:, middle : middle + 1]
    parts = [extractor(part.to(device)).cpu() for part in tensor.split(batch)]
    return torch.cat(parts).double().numpy()


def statistics_for(extractor: FeatureExtractor, names: list[str]) -> dict[str, Callable]:
    """Returns statistics by the names that tables show; shares are turned into losses."""
    prefix = "h" if isinstance(extractor, Jet) else ""
    shown = {"energy": "ED", "frechet": "FD", "mmd-poly3": "KVD", "mmd-rational-quadratic": "RQ"}
    shown = {name: prefix + letters for name, letters in shown.items()}
    shown |= {name: f"{name} lost" for name in SHARES}

    def distance(x: np.ndarray, y: np.ndarray, name: str) -> float:
        return -two_sample(name, x, y) if name in SHARES else two_sample(name, x, y)

    return {shown.get(name, name): partial(distance, name=name) for name in names}


def normaliser_for(extractor: FeatureExtractor) -> Callable | None:
    """Returns how features are made comparable before distances are taken."""
    if isinstance(extractor, Jet):
        return partial(JetNormalizer.fit, core=extractor.core)
    return ZScore.fit if extractor.name.startswith("i3d-random") else None


def trials_for(options: argparse.Namespace) -> Iterator[Trial]:
    """Yields what is to be tried."""
    sizes = options.n, options.frames, options.resolution
    if options.checkpoints:
        return checkpoint_trials(options.checkpoints, options.n, options.frames)
    if options.clips:
        return real_trials(open_real(options.clips), *sizes[1:], exchange=options.exchange)
    return shapes_trials(*sizes)


def measure(options: argparse.Namespace, core: FeatureExtractor) -> list[Response]:
    """Returns all responses of a core that the options ask for."""
    device = torch.device(options.device)
    found = []
    for trial in trials_for(options):
        wanted = [one for one in trial.ladders if any(w in one.name for w in options.ladders)]
        if not wanted:
            continue
        height, width = trial.reference.windows[0].shape[1:3]
        sized = core.for_frames(height, width).to(device)
        available = min(len(trial.reference.windows), len(trial.test.windows))
        found += validate(
            trial.reference,
            trial.test,
            wanted,
            partial(extract, extractor=sized, device=device, batch=options.batch),
            statistics_for(sized, options.statistics),
            Settings(min(options.n, available), options.draws, seed=options.seed),
            normaliser=normaliser_for(sized),
            on_progress=tell,
        )
    return found


def named(core: FeatureExtractor) -> str:
    """Returns what features are from, e.g. `core i3d, weights other 1a2b3c4d`."""
    weights = f"{core.weights.identity} {core.weights.sha256[:8]}".strip()
    return f"core {core.name}, weights {weights}"


def undamaged(responses: list[Response]) -> str:
    """Returns how far the undamaged sets are apart; footage that is not alike shows here."""
    first = [one for one in responses if one.ladder is responses[0].ladder]
    sizes = [
        f"{one.statistic} {one.distances[0]:.4f} = {one.distances[0] / one.null_sd:.1f} null sd"
        for one in first
    ]
    return f"n = {first[0].n}; undamaged sets: {', '.join(sizes)}"


def tell(stage: str, done: int, total: int) -> None:
    """Shows progress on stderr."""
    if done == total or (sys.stderr.isatty() and done % 16 == 0):
        end = "\n" if done == total else "\r"
        print(f"{stage}: {done}/{total} windows", end=end, file=sys.stderr)


def parse() -> argparse.Namespace:
    """Returns the options of the command line."""
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("--core", default="jet", help="extractor, e.g. jet, i3d, i3d-random:0")
    parser.add_argument("--n", type=int, default=256, help="clips per set and draw")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--frames", type=int, default=16, help="frames of a clip")
    parser.add_argument("--resolution", type=int, default=64, help="of shapes and of --clips")
    parser.add_argument("--clips", type=Path, help="folder of videos, or a prepared cache")
    parser.add_argument("--exchange", action="store_true", help="damage the other side of --clips")
    parser.add_argument("--checkpoints", type=Path, help="run folder with kclip-*.ckpt")
    parser.add_argument(
        "--ladders", type=lambda t: t.split(","), default=[""], help="parts of names"
    )
    parser.add_argument(
        "--statistics", type=lambda t: t.split(","), default=["energy", "frechet"], help="names"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8, help="clips through the core at a time")
    parser.add_argument("--weights-dir", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("metric_validation"), help="NAME.md, .csv")
    parser.add_argument("--gate", action="store_true", help="exit 1 if a ladder is not passed")
    options = parser.parse_args()
    if options.exchange and not options.clips:
        parser.error("--exchange is for --clips: the sides of shapes are alike")
    return options


def main() -> int:
    """Runs the recipe and returns the exit code."""
    options = parse()
    try:
        core = open_extractor(options.core, options.weights_dir)
        responses = measure(options, core)
    except VGBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    weights = f"{core.weights.identity} {core.weights.sha256}".strip()
    about = {"core": core.name, "weights": weights}
    about |= {"frames": options.frames, "seed": options.seed}
    table = f"{markdown_table(responses)}\n\n{named(core)}; {undamaged(responses)}"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(f"{table}\n", encoding="utf-8")
    write_csv(options.out.with_suffix(".csv"), responses, about)
    print(f"\n{table}")
    first = responses[0].statistic
    gated = [one for one in responses if one.statistic == first and one.ladder.gated]
    failed = [one.ladder.name for one in gated if not one.passes]
    print(f"\n{first}: {len(gated) - len(failed)} of {len(gated)} ladders passed")
    return 1 if failed and options.gate else 0


if __name__ == "__main__":
    sys.exit(main())
