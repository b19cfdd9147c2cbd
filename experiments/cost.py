"""GPU-hours of the papers' budgets, from the floating-point operations of one training step.

    python experiments/cost.py                       # all methods; 5 GB of memory
    python experiments/cost.py --only styleganv --tflops 989 --utilisation 0.2

Each network is built at the paper's size and makes real training steps on one clip of noise, whose
operations torch counts (multiplications and additions each as one; convolutions and matrix products
only). Steps with and without lazy penalties are counted apart and averaged by how often they occur.
Budget and batch come from `budget=paper`; hours are operations / (peak x utilisation).
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vgbench.config.compose import compose
from vgbench.data.draws import Draws
from vgbench.data.policies import choose
from vgbench.models.base import VideoGAN
from vgbench.models.checkpoint import build_model
from vgbench.types import VideoSpec

RESOLUTIONS = {"g3an": 64, "styleganv": 256, "stylesv": 256, "styleinv": 256, "stylevideogan": 256}


def main() -> None:
    """Prints one line per stage of each recipe, and the sum, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=RESOLUTIONS, help="one method (default: all)")
    parser.add_argument("--tflops", type=float, default=156.0, help="peak (default: A100, TF32)")
    parser.add_argument("--utilisation", type=float, default=0.25, help="share of it in use")
    given = parser.parse_args()
    rate = given.tflops * 1e12 * given.utilisation * 3600
    print("| recipe | stage | size | kclips | TFLOP per clip | GPU-hours |")
    print("|---|---|---|---|---|---|")
    for model, size in RESOLUTIONS.items():
        if given.only not in (None, model):
            continue
        total = 0.0
        for stage, kclips, flops in stages(model, size):
            hours = 1000 * kclips * flops / rate
            total += hours
            cells = (stage, f"{size}x{size}", f"{kclips:g}", f"{flops / 1e12:.3g}", f"{hours:.0f}")
            print(f"| {model} | {' | '.join(cells)} |", flush=True)
        print(f"| {model} | **sum** | | | | **{total:.0f}** |", flush=True)


def stages(name: str, size: int) -> Iterator[tuple[str, float, float]]:
    """Yields name, thousands of clips and operations per clip of each stage, the model's last."""
    words = [f"model={name}", "dataset=shapes", f"dataset.resolution={size}", "budget=paper"]
    config = compose(words, Path(tempfile.gettempdir()))
    spec = VideoSpec(height=size, width=size)
    exports: dict[str, dict[str, torch.Tensor]] = {}
    for stage in config.model.stages():
        model = _started(build_model(stage.config, spec, seed=0), exports)
        exports[stage.name] = model.export()
        yield f"{stage.name} ({stage.model})", config.stages.of[stage.name].kclips, per_clip(model)
    yield (
        name,
        config.budget.kclips,
        per_clip(_started(build_model(config.model, spec, 0), exports)),
    )


def _started(model: VideoGAN, exports: dict[str, dict[str, torch.Tensor]]) -> VideoGAN:
    for stage in model.config.stages():
        model.start_from(stage.name, exports[stage.name])
    return model.train()


def per_clip(model: VideoGAN) -> float:
    """Returns the operations of a training step on one clip, averaged over the kinds of steps."""
    intervals = _intervals(model.config)
    batch, optimizers = _batch(model), list(np.atleast_1d(model.configure_optimizers()))
    counted: dict[tuple[bool, ...], int] = {}
    total, period = 0, max(intervals)
    for step in range(1, period + 1):
        kind = tuple(step % interval == 0 for interval in intervals)
        if kind not in counted:
            model.clips_seen = step
            with Operations() as operations:
                model.train_batch(batch, optimizers)
            counted[kind] = operations.total
        total += counted[kind]
    return total / period / len(batch.get("latents", batch["t"]))


class Operations(TorchDispatchMode):
    """Adds up the operations of convolutions and matrix products, of gradients of gradients too."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs `func` and counts it."""
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        self.total += count(*args, **(kwargs or {}), out_val=result) if count else 0
        return result


def _intervals(config: Any) -> list[int]:
    """Returns every how many steps there is a penalty, or a step of the generator."""
    found = [1, getattr(getattr(config, "training", None), "critic_steps", 1)]
    for weight, interval in (("r1_gamma", "r1_interval"), ("pl_weight", "pl_interval")):
        if getattr(config, weight, 0):
            found.append(getattr(config, interval))
    return found


def _batch(model: VideoGAN) -> dict[str, torch.Tensor]:
    """Returns a clip of noise, or two as latents, since batches of these are normalised."""
    frames, spec, policy = model.clips.frames, model.spec, model.clips.policy
    times = choose(policy, np.full(1, policy.min_frames), Draws(np.arange(1, dtype=np.uint64)))
    video = 2 * torch.rand(1, spec.channels, frames, spec.height, spec.width) - 1
    batch = {"t": torch.from_numpy(times.times), "label": torch.full((1,), -1)}
    if model.frame_encoder is None:
        return {**batch, "video": video}
    one = model.backend.encode(video[:, :, 0])
    return {**batch, "latents": torch.randn(2, frames, *one.shape[1:])}


if __name__ == "__main__":
    start = time.monotonic()
    main()
    print(f"\ncounted in {time.monotonic() - start:.0f} s")
