"""Number formats of a network's arithmetic; each is its own key in a leaderboard row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from vgbench.errors import UsageError

Precision = Literal["fp32", "tf32", "bf16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def check_precision(precision: str, device: torch.device) -> Precision:
    """Returns `precision` if `device` computes in it at speed.

    Args:
        precision: `fp32`; `tf32`: factors of products rounded to 10 bits (recent GPUs); `bf16`:
            weights and activations of 7 bits.
        device: Where the network runs.

    Raises:
        UsageError: If there is no such format or the device lacks it.
    """
    known: dict[str, Precision] = {name: name for name in get_args(Precision)}
    if precision not in known:
        raise UsageError(f"precision '{precision}': choose from {', '.join(known)}")
    if _has(known[precision], device):
        return known[precision]
    raise UsageError(
        f"this {device.type} has no {precision} arithmetic; choose fp32, which every device has"
    )


def _has(precision: Precision, device: torch.device) -> bool:
    if precision == "fp32":
        return True
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if precision == "bf16" and device.type == "cpu":
        return torch.backends.mkldnn.is_available() and bool(  # type: ignore[no-untyped-call]
            torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
    return False


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Computes in `precision` inside, whatever the caller's autocast and TF32 settings.

    On recent GPUs cuDNN rounds the factors of convolutions to TF32 by default, which moves
    features by 1e-3. Kernels are the deterministic ones.
    """
    tf32 = precision == "tf32"
    cudnn = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32)
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        with torch.autocast(device.type, enabled=False), cudnn:
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
