"""Training by several processes, each with its share of every batch."""

import hashlib

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed as dist
from torch import nn

from vgbench.config.schema import TrainerConfig
from vgbench.errors import CheckpointError, UsageError


class SharedBatches(DDPStrategy):
    """Processes that hold all networks each and average gradients where the model says so.

    Lightning's own strategy wraps the model and hooks into its backward pass, which knows one
    network and one loss per step. A GAN has several of both and derivatives of derivatives, so
    `VideoGAN.descend` averages instead.
    """

    def _configure_launcher(self) -> None:
        """Nothing is launched here: `vgbench run` or torchrun start the processes.

        Raises:
            UsageError: If this process was started alone.
        """
        assert self.cluster_environment is not None
        _check_started(self.cluster_environment, self.num_processes)

    def configure_ddp(self) -> None:
        """Checks that all processes start from the same weights, instead of wrapping the model.

        Raises:
            CheckpointError: If they do not.
        """
        assert isinstance(self.model, pl.LightningModule)
        digests: list[str | None] = [None] * self.world_size
        dist.all_gather_object(digests, weights_digest(self.model))
        if len(set(digests)) > 1:
            raise CheckpointError(
                "the processes of this run start from different weights: all must have the same "
                "options, seed and checkpoint"
            )


def join(trainer: TrainerConfig, on_gpu: bool) -> None:
    """Meets the other processes of a run before a trainer does; alone, does nothing.

    Args:
        trainer: How many processes there are.
        on_gpu: Whether each has a GPU.

    Raises:
        UsageError: If this process was started alone.
    """
    if trainer.processes == 1 or dist.is_initialized():
        return
    environment = environment_of_processes()
    _check_started(environment, trainer.devices)
    rank = environment.node_rank() * trainer.devices + environment.local_rank()
    if on_gpu:
        torch.cuda.set_device(environment.local_rank())
    meeting = f"tcp://{environment.main_address}:{environment.main_port}"
    backend = "nccl" if on_gpu else "gloo"
    dist.init_process_group(backend, meeting, rank=rank, world_size=trainer.processes)


def _check_started(environment: ClusterEnvironment, devices: int) -> None:
    if not environment.creates_processes_externally:
        raise UsageError(
            f"trainer.devices={devices}: only one process was started; start all\n"
            "  with `vgbench run` or with torchrun"
        )


def wait_for_all() -> None:
    """Returns when every process of the run has come here."""
    if dist.is_initialized():
        dist.barrier()


def weights_digest(network: nn.Module) -> str:
    """Returns a hash of all parameters and buffers."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def environment_of_processes() -> ClusterEnvironment:
    """Returns how this process knows the others: from torchrun or from `vgbench run`.

    Without saying so, Lightning would take them for tasks of a batch system where it finds one.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    return LightningEnvironment()
