"""Which layout of F-SA learns better: `fixed` (the paper's) or `reference` (the published code's)?

    python benchmarks/g3an_fsa_layout.py [--kclips 4] [--seeds 0,1]

Trains the demo preset with F-SA after block 3 (16x16 maps at 32x32) from the same initialisation on
the same clips, and prints hED16 against 256 real clips, relative to the untrained model. Lower is
better; a difference below the spread between seeds says nothing.
"""

import argparse
import tempfile
from pathlib import Path

from vgbench.config.compose import compose
from vgbench.data.sources import open_dataset
from vgbench.evaluation import evaluate
from vgbench.models.checkpoint import load_model
from vgbench.runtime import keep_memory
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder

LAYOUTS = {
    "off": ["model.use_attention=false"],
    "fixed": ["model.fsa_layout=fixed"],
    "reference": ["model.fsa_layout=reference"],
}


def ratio(layout: str, seed: int, kclips: float, folder: Path) -> tuple[float, list[float]]:
    """Returns hED16 after training relative to before, and the two scales of F-SA."""
    words = ["model=g3an", "dataset=shapes", "budget=demo", f"seed={seed}"]
    words += ["model.use_attention=true", "model.fsa_after_block=3", *LAYOUTS[layout]]
    words += [f"budget.kclips={kclips}", "budget.checkpoint_kclips=1000"]
    config = compose(words, folder)
    run = RunFolder(folder / f"{layout}-{seed}")
    fit(config, run, words, Listener())
    source = open_dataset(config.dataset)
    untrained = run.checkpoints / "kclip-00000.000.ckpt"
    before, after = (evaluate(source, path, "hed16/demo@2")[0] for path in (untrained, run.last))
    state = load_model(run.path).generator.state_dict()
    return after.value / before.value, [float(v) for k, v in state.items() if k.endswith("gamma")]


def main() -> None:
    """Prints one row per layout and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kclips", type=float, default=4.0)
    parser.add_argument("--seeds", default="0,1")
    args = parser.parse_args()
    keep_memory()
    print("| F-SA | seed | hED16 trained / untrained | scales of temporal and spatial attention |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for seed in map(int, args.seeds.split(",")):
            for layout in LAYOUTS:
                value, scales = ratio(layout, seed, args.kclips, Path(folder))
                shown = ", ".join(f"{scale:+.3f}" for scale in scales) or "-"
                print(f"| {layout} | {seed} | {value:.3f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
