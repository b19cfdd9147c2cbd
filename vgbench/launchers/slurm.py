"""Sweeps on a Slurm cluster: one readable array job, a task for every run."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from vgbench.errors import UsageError
from vgbench.launchers.base import Launcher, Work


@dataclass(frozen=True)
class SlurmLauncher(Launcher):
    """Resources of every run.

    Attributes:
        gpus: GPUs of each machine, which share every batch; 0 trains on the CPU.
        nodes: Machines.
        cpus: Cores for each GPU.
        mem: Memory of each machine, e.g. 32G; empty for the cluster's default.
        time: Limit, e.g. 24:00:00; empty for the cluster's default. A run that meets it goes on.
        partition: Empty for the cluster's default.
        account: Empty for your default.
        setup: Shell command before every run, e.g. "module load cuda".
    """

    gpus: int = 1
    nodes: int = 1
    cpus: int = 4
    mem: str = ""
    time: str = ""
    partition: str = ""
    account: str = ""
    setup: str = ""

    def __post_init__(self) -> None:
        for key, least in (("gpus", 0), ("nodes", 1), ("cpus", 1)):
            if getattr(self, key) < least:
                raise UsageError(f"launcher.{key}={getattr(self, key)}: expected {least} or more")
        for key in ("mem", "time", "partition", "account", "setup"):
            if "\n" in getattr(self, key):
                raise UsageError(f"launcher.{key}: expected a single line")

    @property
    def processes(self) -> int:
        """Processes of a run on each machine."""
        return max(1, self.gpus)

    def overrides(self) -> Mapping[str, str]:
        """Returns the options of a run that follow from its resources."""
        accelerator = "gpu" if self.gpus else "cpu"
        return {
            "trainer.accelerator": accelerator,
            "trainer.devices": str(self.processes),
            "trainer.nodes": str(self.nodes),
        }

    def write(self, work: Work) -> Path:
        """Writes `job.sbatch` and returns its path."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("vgbench", "launchers"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # a shell script: every value passes `quote` instead
        )
        environment.filters["quote"] = lambda value: shlex.quote(str(value))
        path = work.folder.resolve() / "job.sbatch"
        template = environment.get_template("job.sbatch.j2")
        text = template.render(options=self, work=work, path=path)
        path.write_text(text, encoding="utf-8")
        return path

    def command(self, job: Path) -> list[str]:
        """Returns `sbatch` with the script."""
        return ["sbatch", str(job)]
