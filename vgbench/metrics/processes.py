"""Agreement between the processes of one evaluation; a single process needs none."""

from itertools import zip_longest
from typing import TypeVar

import torch.distributed as dist

from vgbench.errors import VGBenchError

T = TypeVar("T")


def rank_and_world() -> tuple[int, int]:
    """Returns the number of this process and of all processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather(items: list[T] | VGBenchError) -> list[T]:
    """Returns the items of all processes in the order of the whole set.

    Raises:
        VGBenchError: The error that one of the processes met.
    """
    parts = [items]
    world = rank_and_world()[1]
    if world > 1:
        parts *= world
        dist.all_gather_object(parts, items)
    lists: list[list[T]] = []
    for part in parts:
        if isinstance(part, VGBenchError):
            raise part
        lists.append(part)
    return [item for one in zip_longest(*lists) for item in one if item is not None]


def from_first(value: T) -> T:
    """Returns the first process's value in every process."""
    if rank_and_world()[1] == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
