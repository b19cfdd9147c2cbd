"""The contract every method fulfils, and the training loop's part that all methods share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from vgbench.errors import (
    CheckpointError,
    DivergenceError,
    ExplodedLossError,
    FrameLimitError,
    UsageError,
)
from vgbench.nn.ema import WeightAverage
from vgbench.nn.encoder.frame_encoder import FrameEncoder
from vgbench.nn.noise import GeneratorLike, seeded_generator
from vgbench.nn.processes import average_, process_mean
from vgbench.seeds import stream_seed
from vgbench.types import ModelConfig, SampleRequest, VideoSpec
from vgbench.video import to_model_range

# Largest number of frames that `sample` asks of a generator at once; bounds memory.
_FRAMES_PER_CHUNK = 256


class Clips(NamedTuple):
    """Some clips, real or generated.

    Attributes:
        video: Their frames, in [-1, 1].
        times: When each frame is, in the unit of the sampling policy: frames, unless it says
            otherwise.
        labels: Class of each clip, -1 for none.
    """

    video: Float[Tensor, "b c t h w"]
    times: Float[Tensor, "b t"]
    labels: Int[Tensor, " b"]


class VideoGAN(pl.LightningModule, ABC):
    """A video GAN: it trains on clips and draws videos from explicit random generators.

    A method implements `clips`, `configure_optimizers`, `train_clips` and `draw`, and builds its
    networks inside `seeded_init`. Everything that must be alike between methods is done here:
    the sampling contract, counting progress in clips, seeds, the weight average and the check
    for divergence.

    Args:
        config: The method's options.
        spec: The videos it learns and generates.
        seed: Seed of initialisation and of every random number of training.

    Attributes:
        generator: The trained generator; set by the subclass.
        generator_ema: Its moving average, or None if the method keeps none.
        max_frames: Longest video the method can draw, or None.
        clips_seen: Real clips shown to the discriminators so far, over all processes. It is the
            only clock of training: `trainer.global_step` counts optimiser steps, of which a GAN
            makes several per batch.
    """

    generator: nn.Module
    max_frames: int | None = None

    def __init__(self, config: ModelConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.spec = spec
        self.seed = seed
        self.clips_seen = 0
        self.generator_ema: WeightAverage | None = None
        self.provenance: dict[str, Any] = {}

    # What a method implements.

    @property
    @abstractmethod
    def clips(self) -> SampleRequest:
        """The clips this method trains on."""

    @abstractmethod
    def train_clips(self, real: Clips, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
        """Makes one training step on a batch of real clips and returns scalars to log.

        Args:
            real: The batch of this process.
            optimizers: Those of `configure_optimizers`, in its order.

        Raises:
            DivergenceError: If a loss or gradient is not finite (through `descend`).
        """

    @abstractmethod
    def draw(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos from `self.sampler`; called by `sample` in eval mode without grad."""

    # The sampling contract.

    @property
    def sampler(self) -> nn.Module:
        """The generator that samples: the weight average where there is one."""
        return self.generator if self.generator_ema is None else self.generator_ema.network

    @torch.no_grad()
    def sample(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns `n` generated videos, float32 in [-1, 1], on the model's device.

        The module's mode is restored and no global random state is touched.

        Args:
            n: Number of videos, at least 1.
            frames: Frames per video, at least 1.
            generator: Source of every random number: one generator, or a sequence of `n`, with
                which video i depends on generator i alone.

        Raises:
            UsageError: If `n` or `frames` is below 1.
            FrameLimitError: If the method cannot draw that many frames.
        """
        self.check_size(n, frames)
        chunk = max(1, _FRAMES_PER_CHUNK // frames)
        with self.evaluating():
            parts = [
                self.draw(min(chunk, n - i), frames, _part(generator, i, min(i + chunk, n)))
                for i in range(0, n, chunk)
            ]
        return torch.cat(parts).to(torch.float32)

    def check_size(self, n: int, frames: int) -> None:
        """Checks that `n` videos of `frames` frames can be drawn; raises as `sample`."""
        if n < 1 or frames < 1:
            raise UsageError(f"cannot sample {n} videos of {frames} frames; both must be >= 1")
        if self.max_frames is not None and frames > self.max_frames:
            raise FrameLimitError(
                f"'{type(self).__name__}' draws at most {self.max_frames} frames, {frames} asked"
            )

    def sample_grid(
        self, rows: int, columns: int, frames: int, seed: int
    ) -> Float[Tensor, "n c t h w"]:
        """Returns videos row by row: a row shares its appearance, a column its motion.

        Args:
            rows: Number of appearances.
            columns: Number of motions.
            frames: Frames per video.
            seed: Seed of the codes; each depends on its own row or column alone.

        Raises:
            UsageError: If the method does not separate appearance from motion.
        """
        raise UsageError(
            f"{type(self).__name__} has no separate appearance and motion; leave out --grid"
        )

    @property
    def anchor_distance(self) -> int:
        """Frames between the anchors of `motion_trajectory`; the first one is at time 0.

        Raises:
            UsageError: If the method has no motion codes over time.
        """
        raise UsageError(self._no_trajectory)

    def motion_trajectory(
        self, n: int, times: Float[Tensor, " t"], generator: GeneratorLike
    ) -> Float[Tensor, "n t d"]:
        """Returns the motion codes of `n` videos at some times.

        Args:
            n: Number of videos.
            times: In frames, ascending.
            generator: As in `sample`; the codes are those of the videos it returns.

        Raises:
            UsageError: If the method has no motion codes over time.
        """
        raise UsageError(self._no_trajectory)

    @property
    def _no_trajectory(self) -> str:
        return f"{type(self).__name__} has no motion codes over time; leave out --trajectory"

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Puts every layer into eval mode inside, and back into its own mode afterwards.

        Numbers are drawn in the precision of the weights, as they are while training.
        """
        modes = {module: module.training for module in self.modules()}
        precision = torch.get_default_dtype()
        torch.set_default_dtype(next(self.parameters()).dtype)
        self.eval()
        try:
            yield
        finally:
            torch.set_default_dtype(precision)
            for module, training in modes.items():
                module.training = training

    # Random numbers: keyed by position, so nothing but `clips_seen` is needed to resume.

    @contextmanager
    def seeded_init(self) -> Iterator[None]:
        """Makes layers built inside draw their weights from the stream `init` of the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream_seed(self.seed, "init"))
            yield

    @property
    def world_size(self) -> int:
        """Processes that train together; 1 outside a trainer."""
        return 1 if self._trainer is None else self.trainer.world_size

    def clip_generators(self, stream: str, n: int) -> list[torch.Generator]:
        """Returns one generator per clip of this process's share of the current step.

        Keyed by the global number of the clip: the split over processes does not matter.
        """
        first = self.clips_seen + self.global_rank * n
        return [seeded_generator(self.seed, stream, first + j) for j in range(n)]

    def step_generator(self, stream: str) -> torch.Generator:
        """Returns the generator of the current step, the same in every process."""
        return seeded_generator(self.seed, stream, self.clips_seen)

    # Training.

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Converts the uint8 clips of a batch on the device to floats in [-1, 1].

        Latents only get the model's precision.
        """
        if "latents" in batch:
            return {**batch, "latents": batch["latents"].to(self.dtype)}
        return {**batch, "video": to_model_range(batch["video"]).to(self.dtype)}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Trains on one batch and advances `clips_seen` and the weight average."""
        found = self.optimizers()
        # LightningOptimizer has an optimiser's methods without being a subclass of it.
        optimizers = cast(list[Optimizer], found if isinstance(found, list) else [found])
        scalars = self.train_batch(batch, optimizers)
        clips = len(batch["t"]) * self.world_size
        if self.generator_ema is not None:
            self.generator_ema.update(self.generator, clips, self.clips_seen)
        self.clips_seen += clips
        return self._over_processes(scalars)

    def train_batch(
        self, batch: dict[str, Any], optimizers: Sequence[Optimizer]
    ) -> dict[str, Tensor]:
        """Makes one training step on a batch of the loader, as `train_clips` does on its clips."""
        return self.train_clips(Clips(batch["video"], batch["t"], batch["label"]), optimizers)

    def _over_processes(self, scalars: dict[str, Tensor]) -> dict[str, Tensor]:
        """Means over the processes' shares of the batch."""
        if self.world_size == 1 or not scalars:
            return scalars
        values = [value.detach().to(self.device, torch.float32) for value in scalars.values()]
        return dict(zip(scalars, process_mean(torch.stack(values)), strict=True))

    def descend(
        self, loss: Tensor, optimizer: Optimizer, name: str, limit: float = math.inf
    ) -> None:
        """Makes one optimiser step on `loss`, leaving the weights untouched if it is not finite.

        Where processes share a batch, `loss` is the mean over this one's share; its gradients are
        averaged, so all make the same step, or all raise.

        Args:
            loss: What is to become smaller.
            optimizer: Of the parameters that are to make it so.
            name: Name of the loss in messages.
            limit: Largest magnitude that a run which can still succeed would have.

        Raises:
            DivergenceError: If the loss or a gradient is NaN or infinite; names `name`.
            ExplodedLossError: If the loss is beyond the limit.
        """
        value = process_mean(loss.detach())
        if not torch.isfinite(value):
            raise DivergenceError(f"the {name} loss is {float(value)}")
        if value.abs() > limit:
            raise ExplodedLossError(f"the {name} loss is {float(value):g}, beyond {limit:g}")
        optimizer.zero_grad(set_to_none=True)
        if self._trainer is None:
            torch.autograd.backward(loss)
        else:
            self.manual_backward(loss)
        found = [p.grad for group in optimizer.param_groups for p in group["params"]]
        gradients = [gradient for gradient in found if gradient is not None]
        average_(gradients)
        norms = torch._foreach_norm(gradients)
        if not torch.isfinite(torch.stack(norms)).all():
            raise DivergenceError(f"the gradient of the {name} loss is not finite")
        optimizer.step()

    # Latents: a method may train on those of frames, which are then encoded once for many runs.

    @property
    def frame_encoder(self) -> FrameEncoder | None:
        """What encodes the frames of the training videos; None for a method that wants pictures.

        A method with one finds `latents` in the batches of `train_batch`, and no `video`.
        """
        return None

    def see_latents(self, latents: Float[Tensor, "f l d"]) -> None:
        """Takes notice of the latents of all training frames; called once, before the first step.

        Args:
            latents: Mapped from disk, maybe larger than memory.
        """

    # Stages: models trained before this one, whose weights it starts from.

    def start_from(self, stage: str, weights: Mapping[str, Tensor]) -> None:
        """Takes over the weights of a finished stage; a method that declares stages implements it.

        Called once per stage, in their order, before the first step of a new run; never on resume.

        Args:
            stage: Name of the stage.
            weights: What the stage's model exports; see `export`.

        Raises:
            CheckpointError: If the method has no such stage, or the weights do not fit.
        """
        raise CheckpointError(f"{type(self).__name__} takes no weights of a stage '{stage}'")

    def export(self) -> dict[str, Tensor]:
        """Returns the weights that a model of a later stage may start from.

        By default those of the generator that samples, as `generator.*`, and those of every other
        network under the name of its attribute, e.g. `discriminator.*`.
        """
        networks = {**dict(self.named_children()), "generator": self.sampler}
        networks.pop("generator_ema", None)
        return {
            f"{name}.{key}": value
            for name, network in networks.items()
            for key, value in network.state_dict().items()
        }

    # Checkpoints hold plain values only, so they load with `weights_only=True`.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what is needed to rebuild this model and to say where it comes from."""
        checkpoint["vgbench"] = {
            **self.provenance,
            "config": plain(asdict(self.config)),
            "spec": asdict(self.spec),
            "seed": self.seed,
            "clips_seen": self.clips_seen,
            "max_frames": self.max_frames,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the position of training."""
        self.clips_seen = int(checkpoint["vgbench"]["clips_seen"])


class ReconstructingGAN(VideoGAN):
    """A model that is measured by how it rebuilds real clips, not by what it draws."""

    @abstractmethod
    def reconstruct(self, video: Float[Tensor, "n c t h w"]) -> Float[Tensor, "n c t h w"]:
        """Returns what the model makes of clips in [-1, 1], however long."""

    @abstractmethod
    def remarks(self, video: Float[Tensor, "n c t h w"]) -> tuple[str, ...]:
        """Returns what a leaderboard row says of the model and what it makes of these clips."""


def plain(value: Any) -> Any:
    """Returns `value` with tuples turned into lists, as JSON and YAML have them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _part(generator: GeneratorLike, start: int, stop: int) -> GeneratorLike:
    return generator if isinstance(generator, torch.Generator) else generator[start:stop]
