"""Help, typos, exit codes and texts of the command line."""

import json
import subprocess
import sys

import pytest

from tests.training.conftest import NARROW
from vgbench.cli.main import _COMMANDS
from vgbench.metrics.protocol import PROTOCOLS
from vgbench.registry import MODELS

RUN = ("run", "model=g3an", "dataset=shapes")


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom vgbench.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'hydra', 'rich', 'pandas'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []")
    assert "vgbench run model=g3an dataset=shapes" in done.stdout


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_help_with_two_examples(vgbench, command):
    code, out, _ = vgbench(command, "--help")
    assert code == 0
    examples = out.split("Examples:")[1]
    assert examples.count("vgbench ") >= 2


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_short_help(vgbench, flag):
    assert vgbench(flag)[0] == 0
    assert vgbench("run", flag)[0] == 0


def test_version(vgbench):
    code, out, _ = vgbench("--version")
    assert code == 0
    assert out.startswith("vgbench")


ERRORS = {
    ("run", "model=g3na", "dataset=shapes"): (
        2,
        "error: unknown model 'g3na'. Did you mean 'g3an'?\n"
        f"  models: {', '.join(MODELS)}      (vgbench ls models)\n",
    ),
    (*RUN, "model.chanels=8"): (
        2,
        "error: model.chanels: 'g3an' has no such option. Did you mean model.channels "
        "(default 64)?\n  see: vgbench config options model=g3an\n",
    ),
    (*RUN, "model.lr_g=fast"): (
        2,
        "error: model.lr_g=fast: expected a float, e.g. model.lr_g=2e-4\n",
    ),
    (*RUN, "seed=0,1"): (
        2,
        "error: seed=0,1 is a sweep; add -m to run 2 jobs, or quote it to mean text\n",
    ),
    ("eval",): (
        2,
        "error: give a checkpoint or run folder, or --from-videos DIR, not both\n"
        "  e.g. vgbench eval runs/g3an-shapes-20260101-1a2b\n",
    ),
    ("eval", "none.ckpt"): (
        5,
        "error: none.ckpt does not exist; give a .ckpt file or a run folder\n",
    ),
    ("sample", "none.ckpt", "-o", "x.mkv"): (
        2,
        "error: cannot write 'x.mkv': expected one of .mp4, .webm, .gif, .png\n",
    ),
    ("run", "--resume", "nowhere"): (
        2,
        "error: nowhere is not a run folder: it holds no config.yaml\n",
    ),
    ("leaderboard", "show", "nowhere"): (
        3,
        "error: nowhere does not exist; give a run folder or a file of its eval/\n",
    ),
    ("config", "options", "model=g3na"): (
        2,
        "error: unknown model 'g3na'. Did you mean 'g3an'?\n"
        f"  models: {', '.join(MODELS)}      (vgbench ls models)\n",
    ),
    ("config", "options", "nothing"): (
        2,
        "error: 'nothing' is no group of options; accepted: model=NAME, dataset=NAME, "
        "launcher=NAME, budget, trainer, logger, protocol, stages\n",
    ),
}


@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_error_texts_and_exit_codes(vgbench, words):
    expected_code, text = ERRORS[words]
    code, _, err = vgbench(*words)
    assert err == text
    assert code == expected_code
    assert "Traceback" not in err


def test_data_that_is_not_prepared(vgbench, tmp_path):
    code, _, err = vgbench("run", "model=g3an", "dataset=sky")
    assert code == 3
    assert err == (
        f"error: dataset 'sky' is not prepared: {tmp_path}/data/sky does not exist\n"
        "  vgbench data prepare sky --from /path/to/sky_timelapse\n"
    )


def test_a_mistyped_command_is_suggested(vgbench):
    code, _, err = vgbench("evla")
    assert code == 2
    assert "Did you mean 'eval'?" in err


def test_a_taken_run_folder(vgbench, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()
    code, _, err = vgbench(*RUN, "--run-dir", tmp_path / "mine")
    assert code == 2
    assert err == (
        f"error: {tmp_path}/mine exists and is not empty; continue it with --resume, "
        "or choose --run-dir\n"
    )


def test_traceback_on_request(vgbench):
    assert "UnknownNameError" in vgbench("run", "model=g3na", "dataset=shapes", "--traceback")[2]


def test_dry_run_is_the_resolved_config(vgbench):
    code, out, _ = vgbench(*RUN, "--dry-run", "budget=paper")
    assert code == 0
    assert "batch_size: 96" in out
    assert out == vgbench("config", "show", *RUN[1:], "budget=paper")[1]


def test_listings(vgbench):
    assert "g3an" in vgbench("ls", "models")[1]
    assert "shapes" in vgbench("ls", "datasets")[1]
    protocols = json.loads(vgbench("--json", "ls", "protocols")[1])
    assert {row["protocol"] for row in protocols} == set(PROTOCOLS)
    assert "fvd16" in vgbench("ls", "metrics")[1]
    assert "jet" in vgbench("ls", "extractors")[1]
    assert vgbench("ls", "plugins")[0] == 0


def test_options_show_type_default_and_meaning(vgbench):
    rows = json.loads(vgbench("--json", "config", "options", "model=g3an")[1])
    channels = next(row for row in rows if row["option"] == "model.channels")
    assert (channels["type"], channels["default"]) == ("int", "64")
    assert all(row["meaning"] for row in rows)


def test_doctor(vgbench):
    found = json.loads(vgbench("doctor", "--json")[1])
    assert {"python", "versions", "gpu", "cpu", "allocator", "data folder"} <= set(found)


def test_empty_board(vgbench, tmp_path):
    assert "no rows yet" in vgbench("leaderboard", "show")[1]
    code, out, _ = vgbench("leaderboard", "export", "-o", tmp_path / "board.csv")
    assert (code, "wrote 0 rows" in out) == (0, True)


@pytest.mark.slow
def test_from_run_to_leaderboard(vgbench_process, tmp_path):
    words = [*NARROW, "budget.kclips=0.016", f"--run-dir={tmp_path / 'run'}"]
    done = vgbench_process("run", *words)
    assert done.returncode == 0, done.stderr
    assert "generator" in done.stdout
    assert f"vgbench eval {tmp_path / 'run'}" in done.stdout
    done = vgbench_process("--json", "eval", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["metric"] for row in rows] == ["hED16", "hFD16"]
    assert rows[0]["clips_seen"] == 16
    for name in ("s.mp4", "s.gif", "s.png", "folder"):
        done = vgbench_process("sample", tmp_path / "run", "-n", "3", "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).exists()
    assert len(list((tmp_path / "folder").iterdir())) == 3
    done = vgbench_process(
        "sample", tmp_path / "run", "--grid", "2x3", "--frames", "20", "-o", tmp_path / "g.gif"
    )
    assert done.returncode == 0, done.stderr
    board = tmp_path / "board.csv"
    done = vgbench_process("leaderboard", "export", "-o", board, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert len(board.read_text().splitlines()) == 3
