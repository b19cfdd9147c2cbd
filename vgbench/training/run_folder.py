"""The folder of one run: what it was asked, where it stands, what it made."""

import json
import platform
import secrets
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vgbench.config.schema import RunConfig
from vgbench.config.store import from_yaml, to_yaml
from vgbench.errors import UsageError
from vgbench.training.checkpoint_io import write_atomically


class RunFolder:
    """Paths and records below one run folder; every file in it is replaced atomically.

    Args:
        path: The folder; see `new` and `open`.
        writes: Whether this process keeps the records; of several, only the first does.
        run: The folder of the run of which this is a stage; None for that of a run itself.
    """

    def __init__(self, path: Path, writes: bool = True, run: "RunFolder | None" = None) -> None:
        self.path = path
        self.writes = writes
        self.run = run
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self.features = path / "features"
        self.metrics = path / "metrics.csv"

    @classmethod
    def new(cls, path: Path) -> "RunFolder":
        """Returns the folder of a new run; nothing is written before `start`.

        Raises:
            UsageError: If the folder exists and is not empty.
        """
        if path.exists() and (not path.is_dir() or any(map(_is_content, path.iterdir()))):
            raise UsageError(
                f"{path} exists and is not empty; continue it with --resume, or choose --run-dir"
            )
        return cls(path)

    @classmethod
    def open(cls, path: Path, writes: bool = True) -> "RunFolder":
        """Returns an existing run folder.

        Raises:
            UsageError: If it is none.
        """
        if not (path / "config.yaml").is_file():
            raise UsageError(f"{path} is not a run folder: it holds no config.yaml")
        run = path.resolve().parent.parent
        if path.resolve().parent.name == "stages" and (run / "config.yaml").is_file():
            raise UsageError(
                f"{path} is a stage of a run; continue the run with\n  vgbench run --resume {run}"
            )
        return cls(path, writes)

    def stage(self, number: int, name: str) -> "RunFolder":
        """Returns the folder of a stage, a run folder itself: `stages/01-image`."""
        return RunFolder(self.path / "stages" / f"{number:02d}-{name}", self.writes, self)

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from; the untrained model is the first one."""
        return any(self.checkpoints.glob("*.ckpt"))

    @property
    def resume_path(self) -> Path:
        """The folder to give to `--resume`: a stage is continued by its run."""
        return self.path if self.run is None else self.run.path

    def start(self, config: RunConfig, overrides: list[str]) -> None:
        """Writes the options of a run, the words that gave them, and the environment."""
        self.write("config.yaml", to_yaml(config))
        self.write("overrides.txt", "".join(f"{word}\n" for word in overrides))
        self.write("environment.json", json.dumps(environment(), indent=2))

    def config(self) -> RunConfig:
        """Returns the options the run was started with."""
        return from_yaml((self.path / "config.yaml").read_text(encoding="utf-8"))

    def overrides(self) -> list[str]:
        """Returns the words the run was started with."""
        return (self.path / "overrides.txt").read_text(encoding="utf-8").splitlines()

    def write(self, name: str, text: str) -> None:
        """Writes a text file."""
        if not self.writes:
            return
        write_atomically(self.path / name, lambda file: file.write(text.encode()))

    def log(self, line: str) -> None:
        """Appends a line with the time to `log.txt`."""
        if not self.writes:
            return
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{now()}  {line}\n")

    def set_status(
        self, state: str, clips_seen: int, exit_code: int | None = None, stage: str | None = None
    ) -> None:
        """Records where the run stands.

        Args:
            state: running, waiting, done, preempted, interrupted, diverged or failed.
            clips_seen: Clips shown so far, by the stage if there is one.
            exit_code: Of a run that ended.
            stage: Stage in which the run is, e.g. `01-image`; None for the model itself.
        """
        record = {"state": state, "stage": stage, "clips_seen": clips_seen}
        record |= {"exit_code": exit_code, "time": now()}
        self.write("status.json", json.dumps(record, indent=2))
        self.log(f"{state} at {clips_seen} clips{f' of stage {stage}' if stage else ''}")
        if self.run is not None and state != "done":  # then the run goes on
            self.run.set_status(state, clips_seen, exit_code, self.path.name)


def _is_content(path: Path) -> bool:
    """Returns whether a file is more than what `write` leaves behind where it is killed."""
    return not (path.name.startswith(".") and path.suffix == ".tmp")


def new_run_path(parent: Path, config: RunConfig) -> Path:
    """Returns `<parent>/<model>-<data set>-<date>-<4 hex digits>`."""
    day = datetime.now(UTC).strftime("%Y%m%d")
    return parent / f"{config.model_name}-{config.dataset_name}-{day}-{secrets.token_hex(2)}"


def now() -> str:
    """Returns the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def environment() -> dict[str, Any]:
    """Returns versions, device and source state: what else decides the numbers of a run."""
    packages = ("vgbench", "torch", "pytorch-lightning", "numpy", "scipy", "av", "pillow")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "git": _git_state(),
        "time": now(),
    }


def _git_state() -> dict[str, Any] | None:
    """Returns commit and dirty flag of a source checkout of vgbench; None for an installed one."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None
    commands = (["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain"])
    try:
        commit, changes = (
            subprocess.run(c, cwd=source, capture_output=True, text=True, check=True, timeout=10)
            for c in commands
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}
