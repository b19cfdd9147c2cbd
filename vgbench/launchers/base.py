"""What hands the runs of a sweep over to other machines."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """One run that a launcher starts.

    Attributes:
        name: Of the run.
        words: What follows `vgbench` on the command line. The same command again goes on with the
            run where it stopped, and ends at once if it is done.
    """

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """All that a launcher starts.

    Attributes:
        folder: Of the sweep; exists.
        tasks: Its runs.
        at_once: Runs at a time; None for no limit.
        python: The interpreter that vgbench is installed in.
        directory: Where the words were given: paths in them start there.
        variables: Environment that every run needs.
    """

    folder: Path
    tasks: Sequence[Task]
    at_once: int | None
    python: Path
    directory: Path
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Launcher(ABC):
    """Options `launcher.*` and what is done with them; a subclass is registered by its name.

    Installed packages add launchers through the entry-point group `vgbench.launchers`.
    """

    @abstractmethod
    def overrides(self) -> Mapping[str, str]:
        """Returns the options of a run that follow from those of the launcher."""

    @abstractmethod
    def write(self, work: Work) -> Path:
        """Writes the job into the folder of the work and returns its file."""

    @abstractmethod
    def command(self, job: Path) -> list[str]:
        """Returns the command that hands the job over."""
