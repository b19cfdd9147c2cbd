"""How StyleSV's generator joins content and motion; importing this module does not import torch."""

from dataclasses import dataclass

from vgbench.errors import UsageError

FUSIONS = ("concat", "add")


@dataclass(frozen=True)
class MotionFusion:
    """Where motion enters the generator.

    Attributes:
        fuse: How a style and a motion code make the style of a layer: `concat`, one linear layer
            of both, the same for all layers; or `add`, their sum.
        mask_init: First value of the factors of the motion code: 0 leaves an image generator.
        learn_mask: Whether these factors are learned.
        low_rank: Rank of a second weight of each layer with styles of the motion; 0 for none.
        reference_compat: Whether the released code's defects are kept: a low-rank weight that
            never learns and lacks a scale in the last layer, and with `add` a motion in the input
            that is masked twice.
    """

    fuse: str = "concat"
    mask_init: float = 0.0
    learn_mask: bool = True
    low_rank: int = 0
    reference_compat: bool = False

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        if self.fuse not in FUSIONS:
            raise UsageError(f"fusion.fuse={self.fuse}: expected one of {', '.join(FUSIONS)}")
        if self.low_rank < 0:
            raise UsageError(f"fusion.low_rank={self.low_rank}: expected an integer >= 0 (0: none)")

    def check(self, w_dim: int, motion_dim: int, channels: int) -> None:
        """Checks that the widths of a network suit this fusion.

        Args:
            w_dim: Numbers per style.
            motion_dim: Numbers per motion code.
            channels: Channels of the input map.

        Raises:
            UsageError: If they do not.
        """
        if self.fuse == "add" and w_dim != motion_dim:
            raise UsageError(
                f"fuse=add needs styles as wide as motion codes, got {w_dim} and {motion_dim}; "
                "set one to the other or use fuse=concat"
            )
        if self.fuse == "add" and self.reference_compat and channels != motion_dim:
            raise UsageError(
                f"fuse=add with reference_compat needs as many channels of the input as numbers "
                f"of a motion code, got {channels} and {motion_dim}"
            )
