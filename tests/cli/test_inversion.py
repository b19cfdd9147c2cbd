"""StyleInV's three stages on the command line: weights from elsewhere, reuse, and what rows say."""

import json

import pytest
import torch

from tests.weights.test_loss_weights import published
from vgbench.models.checkpoint import read_checkpoint
from vgbench.weights.store import WeightStore

WORDS = [
    "model=styleinv",
    "budget=demo",
    "dataset=shapes",
    "dataset.videos=20",
    "dataset.frames=20",
    "dataset.resolution=32",
    "model.z_dim=8",
    "model.w_dim=8",
    "model.channel_base=128",
    "model.channel_max=8",
    "model.encoder.base_width=16",
    "model.encoder.pca=8",
    "model.motion.z_dim=8",
    "model.motion.v_dim=8",
    "model.motion.frequencies=4",
    "model.motion.kernel=3",
    "model.style.dim=8",
    "model.sparse.clip=16",
    "model.sparse.max_dist=8",
    "model.inversion.perceptual_net=lpips-alex",
    "stages.image.kclips=0.008",
    "stages.inversion.kclips=0.008",
    "stages.image.batch_size=4",
    "stages.inversion.batch_size=4",
    "budget.batch_size=4",
    "budget.kclips=0.004",
    "budget.sample_kclips=1",
    "trainer.accelerator=cpu",
]


@pytest.fixture
def weights_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_WEIGHTS_DIR", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def lpips(tmp_path, weights_dir):
    """Drawn weights of LPIPS, installed; returns their identity."""
    (tmp_path / "files").mkdir()
    files, *_ = published("lpips-alex", tmp_path / "files")
    return WeightStore(weights_dir).import_weights("lpips-alex", *files).ref


def test_missing_weights_end_a_run_before_it_starts(vgbench, weights_dir, tmp_path):
    code, _, err = vgbench("run", *WORDS, "--run-dir", tmp_path / "run")
    assert code == 4
    assert err == (
        "error: weights 'lpips-alex' not found and offline; put the file anywhere and run\n"
        "  vgbench weights import lpips-alex /path/to/alexnet-owt-7be5be79.pth /path/to/alex.pth\n"
        "  or, with a connection: vgbench weights fetch lpips-alex\n"
    )
    assert not (tmp_path / "runs" / "artefacts").exists()
    assert not (tmp_path / "run" / "stages").exists()


def rows_of(vgbench, path):
    code, out, err = vgbench("--json", "eval", path, "--protocol", "hed1/demo,hed16/demo")
    assert code == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_a_second_run_trains_no_stage_and_rows_name_losses_and_weights(vgbench, lpips, tmp_path):
    code, out, err = vgbench("run", *WORDS, "--run-dir", tmp_path / "one")
    assert code == 0, err
    artefacts = sorted((tmp_path / "runs" / "artefacts").iterdir())
    before = {path: (path / "artefact.json").stat().st_mtime_ns for path in artefacts}
    assert [path.name.split("-shapes")[0] for path in artefacts] == [
        "inversion",
        "stylegan2-frames",
    ]

    code, out, err = vgbench("run", *WORDS, "seed=1", "--run-dir", tmp_path / "two")
    assert code == 0, err
    for stage, model, path in zip(
        ("1  image", "2  inversion"),
        ("stylegan2-frames", "inversion"),
        artefacts[::-1],
        strict=True,
    ):
        assert f"stage {stage}  {model}  reused {path.name}" in out
    assert not (tmp_path / "two" / "stages").exists()
    assert {path: (path / "artefact.json").stat().st_mtime_ns for path in artefacts} == before
    stages = [json.loads((tmp_path / run / "stages.json").read_text()) for run in ("one", "two")]
    assert stages[0] == stages[1]
    used = {"lpips-alex": {"identity": "other", "sha256": lpips.sha256}}
    assert stages[0]["inversion"]["weights"] == used

    inversion = tmp_path / "one" / "stages" / "02-inversion"
    about = read_checkpoint(inversion / "checkpoints" / "last.ckpt")
    assert about["vgbench"]["weights"] == used
    assert not [name for name in about["state_dict"] if name.startswith("objective.")]
    losses = "trained on mse 1, perceptual 0.8 (lpips-alex), latent_reg 1"
    weights = f"lpips-alex other {lpips.sha256[:8]}"
    rows = rows_of(vgbench, inversion)
    assert [row["metric"] for row in rows] == ["hED1", "hED16"]
    for row in rows:
        assert row["value"] > row["floor"]  # the ceiling of what a model on it can reach
        for text in (losses, weights, "PSNR ", "latent roughness ", "real clips of the floor"):
            assert text in row["note"]
    (row, _) = rows_of(vgbench, tmp_path / "two")
    assert f"stage inversion from {artefacts[0].name} ({losses}, {weights})" in row["note"]

    other = tmp_path / "files" / "heads.pth"
    heads = torch.load(other)
    torch.save({name: 2 * value for name, value in heads.items()}, other)
    WeightStore(tmp_path / "weights").import_weights(
        "lpips-alex", other.with_name("trunk.pth"), other
    )
    words = ("budget.kclips=0.016", "trainer.accelerator=cpu")
    code, out, _ = vgbench("run", *WORDS, *words, "--run-dir", tmp_path / "three")
    assert (code, "stage 2  inversion  inversion  to train" in out) == (0, True)
