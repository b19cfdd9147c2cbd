"""What the pixels of a prepared cache depend on besides its sources."""

import math
import re
from dataclasses import dataclass

from vgbench.errors import UsageError

# The accepted words of the options that have a fixed choice.
CHOICES = {
    "recipe": ("default", "styleganv", "stylesv", "styleinv", "g3an"),
    "crop": ("center", "none"),
    "resize": ("lanczos", "area", "bilinear"),
    "scene_cuts": ("off", "report", "split"),
}


@dataclass(frozen=True)
class Options:
    """What the pixels of a cache depend on besides the files; all of it is in the key.

    Attributes:
        resolution: Height and width in pixels.
        min_frames: Shorter videos are refused as `too_short`, after fps and stride.
        max_frames: Longer videos are cut after this many frames; 0 leaves them.
        kind: How the source is read (`vgbench.data.inputs`); one of its kinds, never empty.
        chunk: Frames of the consecutive pieces that a long film is cut into; 0 leaves it whole.
        fps: Frame rate that videos are resampled to by sample-and-hold; 0 leaves theirs.
        allow_duplicate: Whether `fps` may exceed the rate of a source by repeating frames.
        stride: Every stride-th frame is kept, after `fps`.
        scene_cuts: `off`; `report` lists cuts in the notes; `split` cuts the video there.
        recipe: Named geometry: default, styleganv, stylesv, styleinv, g3an.
        crop: `center` square, or `none`: frames must be square; for recipe default.
        resize: `lanczos`, `area` or `bilinear`; for recipe default.
        upscale: Whether frames smaller than `resolution` are accepted.
        ignore_sar: Whether the pixel aspect is ignored, as the reference code does.
        keep_partial: Whether the frames before a decoding error are kept.
        codec: How frames are stored: `raw`, or `jpeg:Q` of quality Q.
    """

    resolution: int
    min_frames: int = 16
    max_frames: int = 0
    kind: str = "videos"
    chunk: int = 0
    fps: float = 0.0
    allow_duplicate: bool = False
    stride: int = 1
    scene_cuts: str = "off"
    recipe: str = "default"
    crop: str = "center"
    resize: str = "lanczos"
    upscale: bool = True
    ignore_sar: bool = False
    keep_partial: bool = False
    codec: str = "raw"

    def check(self) -> None:
        """Raises if a value is out of range.

        Raises:
            UsageError: With the option, its value and what is accepted.
        """
        least = {"resolution": 1, "min_frames": 1, "max_frames": 0, "chunk": 0, "stride": 1}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise UsageError(f"{_flag(name)} {getattr(self, name)}: at least {minimum}")
        for name, accepted in CHOICES.items():
            if getattr(self, name) not in accepted:
                given = getattr(self, name)
                raise UsageError(f"{_flag(name)} {given}: choose from {', '.join(accepted)}")
        if not (math.isfinite(self.fps) and self.fps >= 0):
            raise UsageError(f"--fps {self.fps}: expected a positive number")
        if self.codec not in ("raw", "auto") and not re.fullmatch(
            r"jpeg:([1-9]\d?|100)", self.codec
        ):
            raise UsageError(f"--codec {self.codec}: expected raw, auto or jpeg:Q, e.g. jpeg:95")
        if self.recipe != "default" and (self.crop, self.resize) != ("center", "lanczos"):
            raise UsageError(f"--recipe {self.recipe} decides crop and resize itself")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
