"""The data layer as Lightning sees it."""

from typing import Any

import pytorch_lightning as pl

from vgbench.data.clips import ClipDataset
from vgbench.data.loader import ClipLoader
from vgbench.data.sources import VideoSource
from vgbench.errors import DataError
from vgbench.types import SampleRequest


class ClipDataModule(pl.LightningDataModule):
    """Feeds clips to a model, from the sample at which its `clips_seen` says training is.

    The trainer must be made with `use_distributed_sampler=False` or leave a loader that is no
    `DataLoader` alone, as Lightning does: sharding is done here.

    Args:
        source: Where the videos are.
        request: How clips are drawn from them.
        batch_size: Clips per step and process.
        seed: The one seed of the run.
        allow_change: Whether a checkpoint may be resumed with other data or another seed.

    Raises:
        DataError: If no video is long enough for `request`.
    """

    def __init__(
        self,
        source: VideoSource,
        request: SampleRequest,
        batch_size: int,
        seed: int,
        allow_change: bool = False,
    ) -> None:
        super().__init__()
        self.allow_change = allow_change
        self.dataset = ClipDataset(source, request, seed)
        self.batch_size = batch_size

    def train_dataloader(self) -> ClipLoader:
        """Returns the endless batches that follow the clips the model has seen."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("a ClipDataModule is read through a Trainer; use ClipLoader without")
        return ClipLoader(
            self.dataset,
            self.batch_size,
            self._consumed(),
            trainer.global_rank,
            trainer.world_size,
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns where the stream is, and what a resumed run must agree with.

        `n` counts the samples that were consumed, over all processes; those read ahead do not
        count. `key` is the data's fingerprint.
        """
        return {"n": self._consumed(), **self._identity()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Checks that a checkpoint was made with the same data.

        Raises:
            DataError: If the data or the seed differ and the change is not allowed.
        """
        for name, mine in self._identity().items():
            if state_dict[name] != mine and not self.allow_change:
                raise DataError(
                    f"the checkpoint was trained on other data: its data {name} is "
                    f"{_short(state_dict[name])}, this run's is {_short(mine)}\n"
                    "  resume with the same dataset options and seed, start a new run, or go on\n"
                    "  with the other data: trainer.allow_data_change=true"
                )

    def _identity(self) -> dict[str, Any]:
        return {"key": self.dataset.source.fingerprint, "seed": self.dataset.seed}

    def _consumed(self) -> int:
        module: Any = self.trainer.lightning_module if self.trainer else None
        return int(module.clips_seen) if module else 0


def _short(value: object) -> str:
    return str(value)[:12]
