"""Runs with stages: order, sharing by key, resuming in any of them, and weights from elsewhere."""

import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import vgbench
from tests.staged.config import registered
from tests.training.test_fit import StopAfter, assert_same_checkpoint, states_equal
from vgbench.config.compose import compose
from vgbench.errors import (
    CheckpointError,
    DivergenceError,
    InterruptedRunError,
    PreemptedError,
    UsageError,
)
from vgbench.locks import exclusive
from vgbench.models.checkpoint import build_model, load_model, read_checkpoint
from vgbench.training import artefacts
from vgbench.training.artefacts import ABOUT, WEIGHTS, Artefact, stage_key
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder
from vgbench.training.stages import run
from vgbench.types import VideoSpec

WORDS = [
    "model=coloured",
    "model.layers=2",
    "dataset=shapes",
    "dataset.videos=20",
    "dataset.resolution=16",
    "trainer.accelerator=cpu",
    "budget.kclips=0.008",
    "stages.base.kclips=0.008",
    "stages.base.batch_size=4",
    "stages.tint.kclips=0.008",
]
UNTRAINED = Path(vgbench.__file__).parents[1] / "experiments" / "untrained.py"
STAGES = ("01-base", "02-tint", None)


@pytest.fixture(autouse=True, scope="module")
def _registered():
    with registered():
        yield


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """Returns the options of a run with two stages."""
    return compose(WORDS, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def heard_first():
    """What the run of `whole` says."""
    return Heard()


@pytest.fixture(scope="module")
def whole(composed, heard_first, tmp_path_factory):
    """Folder of runs in which one ran from nothing to its end."""
    runs = tmp_path_factory.mktemp("runs")
    staged(composed, runs / "first", heard_first)
    return runs


class Heard:
    """Remembers what a listener is told."""

    def __init__(self, start=lambda plan: None, message=lambda line: None):
        self.states, self.said, self.stages = [], [], []

        def hear(line):
            self.said.append(line)
            message(line)

        self.listener = Listener(
            overview=lambda plan, stages: self.states.extend(one.state for one in stages),
            start=start,
            progress=lambda now: self.stages.append(now.stage),
            message=hear,
        )


def staged(config, path, heard=None, resume=False):
    folder = RunFolder.open(path) if resume else RunFolder.new(path)
    listener = (heard or Heard()).listener
    run(config, folder, WORDS, listener, path.parent / "artefacts", resume)
    return folder


def status(path):
    record = json.loads((path / "status.json").read_text())
    return record["state"], record["stage"], record["exit_code"]


def only(name, act):
    """Returns what to do before a training: `act`, if it is that of the class `name`."""
    return lambda plan: act(plan) if type(plan.model).__name__ == name else None


def test_the_untrained_model_is_not_the_one_that_stages_leave(whole, capsys):
    recipe = runpy.run_path(str(UNTRAINED))
    run = RunFolder.open(whole / "first", writes=False)
    first, own, drawn = (model.sampler for model in recipe["variants"](run).values())
    start = load_model(run.path / "checkpoints" / "kclip-00000.000.ckpt").sampler
    assert states_equal(first.state_dict(), start.state_dict())
    assert states_equal(own.state_dict(), drawn.state_dict())
    assert not states_equal(first.state_dict(), own.state_dict())
    assert recipe["main"]([str(run.path)]) == 3  # 16x16 is too small
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("error: jet-2 with 3 levels needs frames of 28x28 pixels")


def test_stages_run_in_their_order_and_are_runs_themselves(whole, heard_first):
    heard, folder = heard_first, RunFolder(whole / "first")
    assert heard.states == ["to train 0.008 kclips"] * 2
    labels = ["stage 1/3 base", "stage 2/3 tint", "stage 3/3 coloured"]
    assert list(dict.fromkeys(heard.stages)) == labels
    assert [line.split(":")[0] for line in heard.said] == [
        *labels[:1] * 2,
        *labels[1:2] * 2,
        labels[2],
    ]
    for name, model in (("01-base", "g3an"), ("02-tint", "coloured")):
        stage = folder.path / "stages" / name
        assert status(stage) == ("done", None, 0)
        assert RunFolder(stage).config().model_name == model
        assert load_model(stage).clips_seen == 8
        assert (stage / "metrics.csv").is_file()
        with pytest.raises(UsageError, match=rf"--resume {folder.path}$"):
            RunFolder.open(stage)
    assert status(folder.path) == ("done", None, 0)


def test_weights_go_from_stage_to_stage(whole):
    models = {name: load_model(whole / "first" / "stages" / name) for name in STAGES[:2]}
    base, tint, last = *models.values(), load_model(whole / "first")
    for key, value in base.sampler.state_dict().items():
        assert torch.equal(tint.generator.base.state_dict()[key], value), key
        assert torch.equal(last.generator.base.state_dict()[key], value), key
    below, own = last.generator.colours[0].state_dict(), tint.generator.colours[0].state_dict()
    assert states_equal(dict(below), dict(own))
    untrained = build_model(tint.config, tint.spec, tint.seed).generator.colours[0].state_dict()
    assert not states_equal(dict(own), dict(untrained))


def test_a_checkpoint_needs_no_artefact(whole, tmp_path):
    shutil.copytree(whole / "first" / "checkpoints", tmp_path / "checkpoints")
    model = load_model(tmp_path)
    assert model.sample(1, 16, torch.Generator()).shape == (1, 3, 16, 16, 16)
    stages = model.provenance["stages"]
    for name, about in stages.items():
        record = json.loads((whole / "artefacts" / about["artefact"] / ABOUT).read_text())
        assert (record["key"], record["sha256"]) == (about["key"], about["sha256"]), name


def test_an_artefact_says_where_it_comes_from(whole):
    (path,) = (whole / "artefacts").glob("coloured-shapes-*")
    assert {file.name for file in path.iterdir()} == {WEIGHTS, ABOUT}
    about = json.loads((path / ABOUT).read_text())
    assert about["config"]["colour"] == {"width": 3, "strength": 0.5}
    assert (about["model"], about["dataset"], about["seed"]) == ("coloured", "shapes", 0)
    assert about["spec"] == {"channels": 3, "height": 16, "width": 16}
    assert about["key"].startswith(path.name.rpartition("-")[2])
    assert list(about["stages"]) == ["base"]
    assert (about["provenance"]["run"], about["provenance"]["clips_seen"]) == ("first", 8)
    weights = load_file(path / WEIGHTS)
    assert {name.split(".")[0] for name in weights} == {"generator", "discriminator"}
    assert not [left for left in path.parent.iterdir() if left.name.endswith((".tmp", ".lock"))]


def test_another_run_starts_from_the_same_stages(whole, composed):
    heard = Heard()
    folder = staged(replace(composed, seed=5), whole / "second", heard)
    names = [path.name for path in sorted((whole / "artefacts").glob("[!.]*"), reverse=True)]
    assert heard.states == [f"reused {name}" for name in names]
    assert set(heard.stages) == {"stage 3/3 coloured"}
    assert not (folder.path / "stages").exists()
    assert f"stage base (g3an): reused {names[0]}" in (folder.path / "log.txt").read_text()
    assert (
        load_model(folder.path).provenance["stages"]
        == (load_model(whole / "first").provenance["stages"])
    )


def test_everything_that_decides_a_stage_decides_its_key(composed):
    stage = composed.model.stages()[0]
    alone = replace(composed, model_name=stage.model, model=stage.config)
    spec = VideoSpec(height=32, width=32)
    key = stage_key(alone, "data", spec, [])
    others = [
        stage_key(replace(alone, model=replace(alone.model, lr_g=1e-3)), "data", spec, []),
        stage_key(replace(alone, seed=1), "data", spec, []),
        stage_key(replace(alone, budget=replace(alone.budget, kclips=1.0)), "data", spec, []),
        stage_key(replace(alone, budget=replace(alone.budget, batch_size=2)), "data", spec, []),
        stage_key(alone, "other data", spec, []),
        stage_key(alone, "data", VideoSpec(), []),
        stage_key(alone, "data", spec, [artefacts.ReadyStage("x", {"sha256": "1"}, dict)]),
        stage_key(alone, "data", spec, [artefacts.ReadyStage("x", {"sha256": "2"}, dict)]),
    ]
    assert len({key, *others}) == len(others) + 1
    same = replace(alone, budget=replace(alone.budget, name="x", sample_kclips=1.0))
    assert stage_key(same, "data", spec, []) == key


def test_other_data_make_another_stage(whole, composed):
    heard = Heard(only("G3AN", StopAfter(4, signal.SIGTERM)))
    config = replace(composed, dataset=replace(composed.dataset, seed=1))
    with pytest.raises(PreemptedError):
        staged(config, whole / "third", heard)
    assert heard.states == ["to train 0.008 kclips"] * 2


@pytest.mark.parametrize(
    ("number", "stage", "kind"),
    [
        (signal.SIGTERM, 0, PreemptedError),
        (signal.SIGINT, 1, InterruptedRunError),
        pytest.param(signal.SIGTERM, 2, PreemptedError, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(whole, composed, tmp_path, number, stage, kind):
    trainings = []

    def stop(plan):
        trainings.append(plan.model)
        if len(trainings) == stage + 1:
            StopAfter(4, number)(plan)

    path = tmp_path / "parts"
    with pytest.raises(kind) as caught:
        staged(composed, path, Heard(stop))
    text = f"stopped at 0.004 kclips, state saved; continue with\n  vgbench run --resume {path}"
    assert str(caught.value) == text
    state = {75: "preempted", 130: "interrupted"}[kind.exit_code]
    assert status(path) == (state, STAGES[stage], kind.exit_code)

    heard = Heard()
    staged(composed, path, heard, resume=True)
    assert (
        heard.states
        == [
            ["to continue", "to train 0.008 kclips"],
            [heard.states[0], "to continue"],
            ["done", "done"],
        ][stage]
    )
    assert len(set(heard.stages)) == 3 - stage
    pairs = [(whole / "first", path)]
    pairs += [(whole / "first" / "stages" / s, path / "stages" / s) for s in STAGES[:2]]
    for one, other in pairs:
        assert_same_checkpoint(*(p / "checkpoints" / "last.ckpt" for p in (one, other)))


def test_another_run_goes_on_with_a_stage_that_one_began(whole, composed, tmp_path):
    with pytest.raises(PreemptedError):
        staged(composed, tmp_path / "one", Heard(StopAfter(4, signal.SIGTERM)))
    trained = []
    heard = Heard(only("G3AN", lambda plan: StopAfter(8, signal.SIGTERM)(plan)))
    heard.listener = replace(heard.listener, progress=lambda now: trained.append(now.clips_seen))
    with pytest.raises(PreemptedError):
        staged(replace(composed, seed=1), tmp_path / "two", heard)
    assert trained == [8]  # one step more, not two
    assert heard.said[0] == (
        f"going on with the stage that {tmp_path / 'one' / 'stages' / '01-base'} began"
    )
    last = Path("stages", "01-base", "checkpoints", "last.ckpt")
    states = [read_checkpoint(run / last) for run in (whole / "first", tmp_path / "two")]
    assert states_equal(*(state["state_dict"] for state in states))


def test_a_done_run_is_not_trained_again(whole, composed, tmp_path):
    shutil.copytree(whole / "first", tmp_path / "run")  # without its artefacts
    heard = Heard()
    staged(composed, tmp_path / "run", heard, resume=True)
    assert heard.states == ["done", "done"]
    last = [
        read_checkpoint(p / "checkpoints/last.ckpt") for p in (whole / "first", tmp_path / "run")
    ]
    assert states_equal(*(one["state_dict"] for one in last))


def test_a_finished_stage_without_its_artefact_is_only_published(whole, composed, tmp_path):
    shutil.copytree(whole / "first", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    heard = Heard(lambda plan: StopAfter(4, signal.SIGTERM)(plan))
    with pytest.raises(PreemptedError):
        staged(composed, tmp_path / "run", heard, resume=True)
    assert status(tmp_path / "run")[1] is None  # it stopped in the model itself
    for path in (whole / "artefacts").glob("[!.]*"):
        again = tmp_path / "artefacts" / path.name
        assert (again / WEIGHTS).read_bytes() == (path / WEIGHTS).read_bytes()


def test_divergence_in_a_stage(composed, tmp_path):
    def poison(plan):
        step = plan.model.train_clips

        def stepped(real, optimizers):
            return step(real._replace(video=real.video * float("nan")), optimizers)

        plan.model.train_clips = stepped

    with pytest.raises(DivergenceError, match="diverged at 0 kclips") as caught:
        staged(composed, tmp_path / "run", Heard(poison))
    assert f"{tmp_path / 'run'}/stages/01-base/checkpoints/last.ckpt" in str(caught.value)
    assert status(tmp_path / "run") == ("diverged", "01-base", 6)
    assert not list((tmp_path / "artefacts").glob("[!.]*"))


def test_a_stage_that_another_run_trains_is_waited_for(whole, composed, tmp_path):
    (found,) = (whole / "artefacts").glob("g3an-shapes-*")
    target = tmp_path / "artefacts" / found.name
    target.parent.mkdir()
    held = exclusive(target, print, print)
    held.__enter__()
    said = []

    def hear(line):
        said.append(line)
        if "waiting" in line:
            assert status(tmp_path / "run") == ("waiting", "01-base", None)
            shutil.copytree(found, target)
            held.__exit__(None, None, None)
        if "reused" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(PreemptedError) as caught:
        staged(composed, tmp_path / "run", Heard(message=hear))
    assert f"trains it; waiting for {found.name}" in said[0]
    assert said[1] == f"stage 1/3 base: reused {found.name}"
    # between two trainings a signal ends the run as in one
    assert str(caught.value).endswith(f"vgbench run --resume {tmp_path / 'run'}")
    assert status(tmp_path / "run") == ("preempted", "02-tint", 75)


def test_the_wait_can_be_interrupted(composed, whole, tmp_path):
    (found,) = (whole / "artefacts").glob("g3an-shapes-*")
    (tmp_path / "artefacts").mkdir()

    def hear(line):
        os.kill(os.getpid(), signal.SIGINT)

    with (
        exclusive(tmp_path / "artefacts" / found.name, print, print),
        pytest.raises(InterruptedRunError),
    ):
        staged(composed, tmp_path / "run", Heard(message=hear))
    assert status(tmp_path / "run") == ("interrupted", "01-base", 130)


# Weights from elsewhere.


@pytest.mark.parametrize(
    "form", ["artefact", "checkpoint", pytest.param("run", marks=pytest.mark.slow)]
)
def test_a_stage_can_be_given(whole, composed, tmp_path, form):
    (artefact,) = (whole / "artefacts").glob("g3an-shapes-*")
    folder = whole / "first" / "stages" / "01-base"
    path = {"artefact": artefact, "run": folder, "checkpoint": folder / "checkpoints/last.ckpt"}
    config = replace(
        composed, init={"base": str(path[form])}, model=replace(composed.model, layers=1)
    )
    heard = Heard()
    staged(config, tmp_path / "run", heard)
    assert heard.states == [f"given {path[form]}"]
    assert not (tmp_path / "artefacts").exists()
    model = load_model(tmp_path / "run")
    assert model.provenance["stages"]["base"]["given"] == str(path[form])
    expected = load_model(folder).sampler.state_dict()
    assert states_equal(dict(model.generator.base.state_dict()), dict(expected))


def refused(config, path):
    with pytest.raises(CheckpointError) as caught:
        staged(config, path)
    assert caught.value.exit_code == 5
    assert not path.exists()
    return str(caught.value)


def test_a_given_stage_must_be_of_its_model_and_size(whole, composed, tmp_path):
    given = whole / "first" / "stages" / "01-base"
    where = f"model.init.base={given}"
    wide = replace(composed.model, channels=3)
    text = refused(replace(composed, init={"base": str(given)}, model=wide), tmp_path / "run")
    assert text.startswith(f"{where} does not fit the stage 'base': 'generator.")
    assert text.endswith("\n  its options differ: channels=2 (expected 3)")
    other = whole / "first" / "stages" / "02-tint"
    text = refused(replace(composed, init={"base": str(other)}), tmp_path / "run")
    assert text == (
        f"model.init.base={other} holds 'coloured', but the stage 'base' is 'g3an'\n"
        "  give an artefact, a run folder or a checkpoint of it      (vgbench ls artefacts)"
    )
    large = replace(composed.dataset, resolution=32)
    text = refused(replace(composed, init={"base": str(given)}, dataset=large), tmp_path / "run")
    assert text.endswith("\n  its videos differ in size")
    text = refused(replace(composed, init={"base": str(tmp_path / "none")}), tmp_path / "run")
    assert text == f"{tmp_path / 'none'} does not exist; give a .ckpt file or a run folder"


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of the artefacts, to be damaged; returns the folder of the first stage's."""
    shutil.copytree(whole / "artefacts", tmp_path / "artefacts")
    (path,) = (tmp_path / "artefacts").glob("g3an-shapes-*")
    return path


def test_a_damaged_artefact_is_refused(composed, copied, tmp_path):
    again = f"\n  remove the folder, and the stage is trained again: rm -r {copied}"
    file, record = copied / WEIGHTS, copied / ABOUT
    data, about = file.read_bytes(), record.read_text()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    text = refused(composed, tmp_path / "run")
    assert text.startswith(f"{file} is damaged or changed: its SHA-256 is ")
    assert text.endswith(again)
    given = replace(composed, init={"base": str(copied)})
    assert refused(given, tmp_path / "run") == text
    file.unlink()
    assert refused(composed, tmp_path / "run") == f"{file} does not exist{again}"
    file.write_bytes(data)
    record.write_text(about[:50])
    text = refused(composed, tmp_path / "run")
    assert text.startswith(f"{record} is not readable (")
    assert text.endswith(again)
    record.write_text(about.replace('"format": 1', '"format": 2'))
    assert refused(composed, tmp_path / "run") == (
        f"{copied} has format 2, this vgbench reads up to 1; upgrade vgbench"
    )
    key = json.loads(about)["key"]
    record.write_text(about.replace(key, "0" * 64))
    assert refused(composed, tmp_path / "run") == f"{record} is of another stage{again}"


def test_a_full_disk_leaves_no_half_artefact(composed, tmp_path, monkeypatch):
    def full(weights, path):
        Path(path).write_bytes(b"half of the weights")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefacts, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        staged(composed, tmp_path / "run")
    assert not list((tmp_path / "artefacts").glob("[!.]*"))


def test_a_model_must_take_what_it_declares(composed, tmp_path):
    narrow = compose(["model=g3an", *WORDS[2:6], "model.channels=2"], tmp_path)
    ready = [artefacts.ReadyStage("base", {"sha256": "0"}, dict)]
    with pytest.raises(CheckpointError) as caught:
        fit(narrow, RunFolder(tmp_path / "run"), WORDS, Listener(), ready=ready)
    assert str(caught.value) == "G3AN takes no weights of a stage 'base'"


@pytest.mark.slow
def test_of_two_runs_at_once_one_trains_the_stages(tmp_path):
    environment = {**os.environ, "VGBENCH_RUNS_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.staged", "run", *WORDS]
    command += ["stages.base.kclips=0.06", "stages.tint.kclips=0.06"]
    processes = [
        subprocess.Popen(
            [*command, f"seed={seed}", f"--run-dir={tmp_path / str(seed)}"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in (0, 1)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    for name in ("base", "tint"):
        assert sum(f"{name}: done, kept as" in text for text in said) == 1, said
    stages = [load_model(tmp_path / seed).provenance["stages"] for seed in ("0", "1")]
    assert stages[0] == stages[1]
    assert len(list((tmp_path / "artefacts").glob("[!.]*"))) == 2


@pytest.mark.slow
def test_kill_minus_9_in_a_stage(tmp_path):
    environment = {**os.environ, "VGBENCH_RUNS_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.staged", "-q", "run"]
    words = [*WORDS, "stages.base.kclips=0.3", f"--run-dir={tmp_path / 'run'}"]
    process = subprocess.Popen([*command, *words], env=environment)
    last = tmp_path / "run/stages/01-base/checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    process = subprocess.Popen([*command, "--resume", str(tmp_path / "run")], env=environment)
    time.sleep(5)
    process.kill()
    process.wait()
    before = read_checkpoint(last)["vgbench"]["clips_seen"]
    process = subprocess.Popen([*command, "--resume", str(tmp_path / "run")], env=environment)
    assert process.wait(300) == 0
    assert load_model(tmp_path / "run/stages/01-base").clips_seen == 300 > before
    assert load_model(tmp_path / "run").clips_seen == 8


def test_reading_an_artefact_looks_at_its_record_only(copied):
    (copied / WEIGHTS).unlink()
    assert Artefact.read(copied).about["model"] == "g3an"


@pytest.mark.slow
def test_processes_that_share_batches_share_stages(whole, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        **os.environ,
        "VGBENCH_RUNS_DIR": str(tmp_path),
        "VGBENCH_RUN_DIR": str(tmp_path / "run"),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    command = [sys.executable, "-m", "tests.staged", "run", *WORDS, "trainer.devices=2"]
    processes = [
        subprocess.Popen(command, env={**environment, "LOCAL_RANK": rank}) for rank in ("1", "0")
    ]
    assert [process.wait(240) for process in processes] == [0, 0]
    names = [{path.name for path in (p / "artefacts").glob("[!.]*")} for p in (whole, tmp_path)]
    assert len(names[0] & names[1]) >= 1  # the first stage has the same key, however it is trained
    one, two = (load_model(p).state_dict() for p in (whole / "first", tmp_path / "run"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-4)
