"""Evaluation while training: the best state is kept, says what it was chosen from, and resumes."""

import csv
import signal

import pytest

import vgbench
from tests.training.conftest import NARROW
from tests.training.test_fit import StopAfter, states_equal, trained
from vgbench.config.compose import compose
from vgbench.config.schema import ProtocolConfig
from vgbench.errors import PreemptedError, UsageError
from vgbench.models.checkpoint import load_model, read_checkpoint
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder

WATCHED = ("budget.kclips=0.024", "protocol.every_kclips=0.008", "protocol.watched=hed16/demo")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selection")
    return trained(compose([*NARROW, *WATCHED], folder / "data"), folder / "run")


def test_the_best_of_several_is_kept(run):
    about = read_checkpoint(run.best)["vgbench"]
    clips, values = zip(*about["evaluations"], strict=True)
    assert clips == (8, 16, 24)
    best = values.index(min(values))
    assert about["clips_seen"] == clips[best]
    assert about["selection"] == "best-of-3 by hED16"
    assert "selection" not in read_checkpoint(run.last)["vgbench"]
    same = run.checkpoints / f"kclip-{clips[best] / 1000:09.3f}.ckpt"
    assert states_equal(
        read_checkpoint(run.best)["state_dict"], read_checkpoint(same)["state_dict"]
    )


@pytest.mark.slow
def test_a_row_of_it_says_how_it_was_chosen(run, narrow):
    config = narrow(*WATCHED)
    source = vgbench.open_dataset(config.dataset)
    best, last = (vgbench.evaluate(source, f, "hed16/demo")[0] for f in (run.best, run.last))
    assert (best.selection, last.selection) == ("best-of-3 by hED16", "none")
    values = [value for _, value in read_checkpoint(run.best)["vgbench"]["evaluations"]]
    assert best.value == pytest.approx(min(values), rel=1e-4)
    assert last.value == pytest.approx(values[-1], rel=1e-4)
    assert load_model(run.best).provenance["selection"] == best.selection


def test_numbers_are_in_the_table(run):
    with run.metrics.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = [value for _, value in read_checkpoint(run.best)["vgbench"]["evaluations"]]
    assert float(rows[-1]["hed16/demo@2"]) == values[-1]
    assert float(rows[-1]["best"]) == min(values)


@pytest.mark.slow
def test_a_resumed_run_goes_on_choosing(narrow, run, tmp_path):
    config = narrow(*WATCHED)
    with pytest.raises(PreemptedError):
        trained(config, tmp_path / "parts", listener=Listener(StopAfter(12, signal.SIGTERM)))
    parts = RunFolder(tmp_path / "parts")
    assert read_checkpoint(parts.best)["vgbench"]["selection"] == "best-of-1 by hED16"
    fit(config, parts, NARROW, Listener(), resume=True)
    a, b = read_checkpoint(run.best), read_checkpoint(parts.best)
    assert a["vgbench"]["selection"] == b["vgbench"]["selection"]
    for one, other in zip(a["vgbench"]["evaluations"], b["vgbench"]["evaluations"], strict=True):
        assert one == pytest.approx(other, rel=1e-9)
    assert states_equal(a["state_dict"], b["state_dict"])


def test_it_looks_through_the_weights_that_the_environment_names(vgbench, monkeypatch, tmp_path):
    monkeypatch.setenv("VGBENCH_WEIGHTS_DIR", str(tmp_path))
    (tmp_path / "i3d-k400.json").write_text("{")
    words = (*NARROW, "protocol.every_kclips=0.008", "protocol.watched=fvd16")
    code, _, error = vgbench("run", *words, "--run-dir", tmp_path / "run")
    assert code == 4
    assert f"{tmp_path / 'i3d-k400.json'} is damaged" in error
    assert not (tmp_path / "run" / "config.yaml").exists()  # nothing was trained


@pytest.mark.slow
def test_training_is_the_same_with_and_without(run, narrow, tmp_path):
    plain = trained(narrow("budget.kclips=0.024"), tmp_path / "plain")
    assert not plain.best.exists()
    assert not (plain.path / "features").exists()
    a, b = (read_checkpoint(folder.last)["state_dict"] for folder in (run, plain))
    assert states_equal(a, b)


def test_options():
    with pytest.raises(UsageError, match=r"protocol.every_kclips=-1.0: expected 0 \(never\)"):
        ProtocolConfig(every_kclips=-1.0)
