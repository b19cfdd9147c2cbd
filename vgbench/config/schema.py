"""The typed options of a run besides those of its model and data set; torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vgbench.errors import UsageError
from vgbench.types import DatasetConfig, ModelConfig

ACCELERATORS = ("auto", "cpu", "gpu")
PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")


@dataclass(frozen=True)
class BudgetConfig:
    """How long a run trains and how often it reports.

    Attributes:
        name: The budget's name.
        kclips: Training length in thousands of real clips shown to the discriminators.
        batch_size: Clips per step, over all processes.
        checkpoint_kclips: Clips (thousands) between kept checkpoints.
        sample_kclips: Clips (thousands) between sample videos of fixed latents.
    """

    name: str = "short"
    kclips: float = 100.0
    batch_size: int = 32
    checkpoint_kclips: float = 10.0
    sample_kclips: float = 10.0

    def __post_init__(self) -> None:
        for key in ("kclips", "batch_size", "checkpoint_kclips", "sample_kclips"):
            if getattr(self, key) <= 0:
                raise UsageError(f"budget.{key}={getattr(self, key)}: expected a positive number")

    def share(self, processes: int) -> int:
        """Returns the clips per step of each of several processes.

        Raises:
            UsageError: If they cannot share a batch equally.
        """
        if self.batch_size % processes:
            raise UsageError(
                f"budget.batch_size={self.batch_size}: {processes} devices cannot share it "
                f"equally; expected a multiple of {processes}"
            )
        return self.batch_size // processes


@dataclass(frozen=True)
class TrainerConfig:
    """Where and how a run computes; may change when it is resumed.

    Attributes:
        accelerator: One of `ACCELERATORS`.
        devices: Number of devices of each machine, one process each; all share every batch equally.
        nodes: Number of machines; of more than one, torchrun starts the processes.
        precision: One of `PRECISIONS`, e.g. `32-true`, `bf16-mixed`.
        threads: CPU threads; 0 leaves torch's choice.
        keep_memory: Apply the allocator setting of `vgbench.runtime.keep_memory` on CPU runs.
        log_seconds: Seconds between plain progress lines where there is no terminal.
        allow_data_change: A resumed run may go on with another data set or seed.
        weights_dir: Folder of installed weights, for losses and for evaluations while training
            (default: `VGBENCH_WEIGHTS_DIR`, or `~/.cache/vgbench/weights`).
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"
    threads: int = 0
    keep_memory: bool = True
    log_seconds: float = 30.0
    allow_data_change: bool = False
    weights_dir: str = ""

    def __post_init__(self) -> None:
        for key, accepted in (("accelerator", ACCELERATORS), ("precision", PRECISIONS)):
            if getattr(self, key) not in accepted:
                raise UsageError(
                    f"trainer.{key}={getattr(self, key)}: expected one of {', '.join(accepted)}"
                )
        for key in ("devices", "nodes"):
            if getattr(self, key) < 1:
                raise UsageError(f"trainer.{key}={getattr(self, key)}: expected 1 or more")

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.nodes


@dataclass(frozen=True)
class LoggerConfig:
    """Where scalars go besides `metrics.csv`, which is always written.

    Attributes:
        names: Any of `tensorboard`, `wandb` (each an extra of the package).
    """

    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in ("tensorboard", "wandb"):
                raise UsageError(f"logger.names={name}: expected tensorboard or wandb")


@dataclass(frozen=True)
class ProtocolConfig:
    """What a run is measured by.

    Attributes:
        names: Protocols that `vgbench eval` uses when none is named; empty means the best that the
            installed weights allow.
        every_kclips: Clips (thousands) between evaluations while training; 0 for none.
        watched: Protocol of these evaluations; the best state by it is kept as `best.ckpt`.
    """

    names: tuple[str, ...] = ()
    every_kclips: float = 0.0
    watched: str = "hed16/demo"

    def __post_init__(self) -> None:
        if self.every_kclips < 0:
            raise UsageError(
                f"protocol.every_kclips={self.every_kclips}: expected 0 (never) or a positive "
                "number"
            )


@dataclass(frozen=True)
class StageConfig(BudgetConfig):
    """How one stage before the model itself is trained: a budget of its own.

    Attributes:
        protocols: What `vgbench eval` measures the stage by when no protocol is named.
    """

    protocols: tuple[str, ...] = ()


@dataclass(frozen=True)
class StagesConfig:
    """How the stages that the model declares are trained.

    Attributes:
        seed: Seed of every stage; not the run's, so that runs of all seeds share stages.
        of: Each stage by its name.
    """

    seed: int = 0
    of: Mapping[str, StageConfig] = field(default_factory=dict)


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run.

    Attributes:
        model_name: Registered name of the model.
        dataset_name: Name of the data set.
        model: Options of the model.
        dataset: Options of the data set.
        budget: How long it trains.
        trainer: Where and how it computes.
        logger: Where scalars go.
        protocol: What it is measured by.
        stages: How the models that are trained before it are trained.
        init: Stages that are not trained: artefact, run folder or checkpoint by name of the stage.
        seed: Seed of the run.
        deterministic: Whether only deterministic algorithms are used.
    """

    model_name: str
    dataset_name: str
    model: ModelConfig
    dataset: DatasetConfig
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    stages: StagesConfig = field(default_factory=StagesConfig)
    init: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        self.budget.share(self.trainer.processes)


# The groups with a fixed schema; `model` and `dataset` have one per name.
GROUPS: dict[str, type[Any]] = {
    "budget": BudgetConfig,
    "trainer": TrainerConfig,
    "logger": LoggerConfig,
    "protocol": ProtocolConfig,
}
SCALARS: dict[str, Any] = {"seed": 0, "deterministic": False}
