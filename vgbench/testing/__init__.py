"""What a plugin must keep to, as checks: for its own tests, and behind `vgbench plugin check`.

A test of a plugin is one call, e.g. `check_video_gan(MyConfig(channels=8))`.
"""

from vgbench.testing.contract import ContractError, Finding
from vgbench.testing.extractor import check_extractor
from vgbench.testing.protocol import check_protocol
from vgbench.testing.video_gan import check_video_gan
from vgbench.testing.video_source import check_video_source

__all__ = [
    "ContractError",
    "Finding",
    "check_extractor",
    "check_protocol",
    "check_video_gan",
    "check_video_source",
]
