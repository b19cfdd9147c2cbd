"""`shapes`: procedural videos whose every factor, trajectory and mask is known exactly.

A video is a pure function of (seed, index) and continuous time: there is nothing to download, any
length and frame rate can be drawn, and metrics of motion, loops and disentanglement can be checked
against the truth. Positions are in image sides (0 to 1, x to the right, y down), angles in radians,
times in frames.

Definition `shapes/1`. Factor f of video i has u = (mix(mix(mix(seed) ^ i) ^ id_f) >> 11) * 2**-53,
with mix the finaliser of SplitMix64; a choice among n is floor(u * n). With w = 2 pi / P, direction
s = 1 or -1 and phases a, b, the centre is home + A * (x, y) where

    static      home is uniform in [0.27, 0.73]**2 and nothing moves; else within 0.05 of the middle
    line        sin(s w t + a) along a random axis
    circle      cos, sin of s w t + a
    lissajous   sin(s w t + a), sin(k s w t + b)
    bounce      the same with triangle waves

and A = 0.2. Periodic: k = 2, so everything repeats after P frames. Not periodic: k = sqrt 2, and
for line and circle A becomes A (1 + 0.3 sin(sqrt 2 w t + b)), so the label holds for every motion.
The angle is a start angle + s w t times 0, 1 or 2 turns. Colours are in `synthetic_render`.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped, UInt8
from numpy import ndarray

from vgbench.data.config import ShapesConfig
from vgbench.data.draws import uniform
from vgbench.data.procedural import ProceduralSource
from vgbench.data.synthetic_render import BACKGROUNDS, COLOURS, PATTERNS, SHAPES, TEXTURES, Renderer
from vgbench.errors import UsageError

DEFINITION = "shapes/1"
TRAJECTORIES = ("static", "line", "circle", "lissajous", "bounce")
PERIODS = (32, 16, 8)
AMPLITUDE = 0.2  # with the drift and the largest object a moving shape stays in the picture
_DRIFT = 0.3

# Choices have a count, measures a range. The position in this table is the factor's id.
_CHOICES = {
    "shape": len(SHAPES),
    "colour": len(COLOURS),
    "texture": len(TEXTURES),
    "background": len(BACKGROUNDS),
    "pattern": len(PATTERNS),
    "trajectory": len(TRAJECTORIES),
    "speed": len(PERIODS),
    "turns": 3,
    "direction": 2,
    "periodic": 2,
}
_MEASURES = {
    "size": (0.11, 0.19),
    "home_x": (-1.0, 1.0),
    "home_y": (-1.0, 1.0),
    "phase": (0.0, 2 * np.pi),
    "phase2": (0.0, 2 * np.pi),
    "angle": (0.0, 2 * np.pi),
    "axis": (0.0, np.pi),
}
FACTORS = (*_CHOICES, *_MEASURES)
_IDS = np.arange(len(FACTORS), dtype=np.uint64)
_CORRELATE_ID = 1 << 16
_NOISE_ID = 1 << 32  # per frame: _NOISE_ID + 4 * frame + k
_SHUFFLE_ID = 1 << 48  # per frame: _SHUFFLE_ID + frame


@dataclass(frozen=True)
class Factors:
    """All factors of one video: what it looks like and how it moves.

    Attributes:
        shape: Index into `SHAPES`.
        colour: Index into `COLOURS`.
        texture: Index into `TEXTURES`.
        background: Index into `BACKGROUNDS`.
        pattern: Index into `PATTERNS`.
        trajectory: Index into `TRAJECTORIES`.
        speed: Index into `PERIODS`.
        turns: Turns per base period.
        direction: 0 or 1; 1 runs time backwards.
        periodic: 0 or 1; means nothing for `static`.
        size: Radius in image sides.
        home_x: Horizontal rest position in [-1, 1], scaled by the trajectory.
        home_y: Vertical rest position in [-1, 1], scaled by the trajectory.
        phase: First phase in radians.
        phase2: Second phase in radians.
        angle: Start angle in radians.
        axis: Direction of `line` in radians.
    """

    shape: int
    colour: int
    texture: int
    background: int
    pattern: int
    trajectory: int
    speed: int
    turns: int
    direction: int
    periodic: int
    size: float
    home_x: float
    home_y: float
    phase: float
    phase2: float
    angle: float
    axis: float

    @property
    def base_period(self) -> int:
        """Frames of one base period P."""
        return PERIODS[self.speed]


@dataclass(frozen=True)
class Pose:
    """Where the object is, per frame.

    Attributes:
        centre: x and y in image sides.
        angle: Radians; positive turns x towards y, which looks clockwise.
        velocity: Time derivative of the centre in image sides per frame, without jitter.
    """

    centre: Float64[ndarray, "t 2"]
    angle: Float64[ndarray, "t"]
    velocity: Float64[ndarray, "t 2"]


@dataclass(frozen=True)
class Truth:
    """What is true of the given frames of one video, damage included.

    Attributes:
        factors: What the object looks like and how it would move undamaged.
        centre: x and y in image sides, jitter included.
        angle: Radians.
        velocity: Image sides per frame along the trajectory at the time that each frame shows;
            jitter and the order of the frames are no part of it.
        size: Radius in image sides.
        mask: Pixels of which the object covers at least half.
        period: Frames after which the motion repeats, infinity if never, NaN if nothing moves
            (`static`, `freeze`).
    """

    factors: Factors
    centre: Float64[ndarray, "t 2"]
    angle: Float64[ndarray, "t"]
    velocity: Float64[ndarray, "t 2"]
    size: float
    mask: Bool[ndarray, "t h w"]
    period: float


def pose(factors: Factors, times: Float64[ndarray, "t"]) -> Pose:
    """Returns where the object is at `times` (frames, fractions allowed), in closed form."""
    w = 2 * np.pi / factors.base_period * (-1 if factors.direction else 1)
    first = w * times + factors.phase
    kind, periodic = TRAJECTORIES[factors.trajectory], bool(factors.periodic)
    swing, speed = np.full_like(times, AMPLITUDE), np.zeros_like(times)
    if kind in ("line", "circle") and not periodic:
        slow = np.sqrt(2) * w
        swing = AMPLITUDE * (1 + _DRIFT * np.sin(slow * times + factors.phase2))
        speed = AMPLITUDE * _DRIFT * slow * np.cos(slow * times + factors.phase2)
    k = 2 if periodic else np.sqrt(2)
    path, slope = _path(kind, factors, first, k * w * times + factors.phase2)
    rate = w * np.array([1.0, k if kind in ("lissajous", "bounce") else 1.0])
    home = 0.5 + (0.23 if kind == "static" else 0.05) * np.array([factors.home_x, factors.home_y])
    return Pose(
        centre=home + swing[:, None] * path,
        angle=factors.angle + w * factors.turns * times,
        velocity=speed[:, None] * path + swing[:, None] * slope * rate,
    )


def _path(
    kind: str, factors: Factors, first: Float64[ndarray, "t"], second: Float64[ndarray, "t"]
) -> tuple[Float64[ndarray, "t 2"], Float64[ndarray, "t 2"]]:
    """Returns the unit path and its derivative by the phases `first` and `second`."""
    if kind == "static":
        return np.zeros((len(first), 2)), np.zeros((len(first), 2))
    if kind == "line":
        axis = np.array([np.cos(factors.axis), np.sin(factors.axis)])
        return np.sin(first)[:, None] * axis, np.cos(first)[:, None] * axis
    if kind == "circle":
        x, y = np.cos(first), np.sin(first)
        return np.stack([x, y], axis=1), np.stack([-y, x], axis=1)
    both = np.stack([first, second], axis=1)
    if kind == "lissajous":
        return np.sin(both), np.cos(both)
    turn = both / (2 * np.pi) % 1  # triangle wave: 0 -> 1 -> 0 -> -1 -> 0, like the sine
    rising = (turn < 0.25) | (turn >= 0.75)
    wave = np.where(turn < 0.25, 4 * turn, np.where(turn < 0.75, 2 - 4 * turn, 4 * turn - 4))
    return wave, np.where(rising, 1.0, -1.0) * 2 / np.pi


def period(factors: Factors) -> float:
    """Returns P if the motion repeats, infinity if it never does, NaN for `static`."""
    if TRAJECTORIES[factors.trajectory] == "static":
        return float("nan")
    return float(factors.base_period) if factors.periodic else float("inf")


class ShapesSource(ProceduralSource):
    """The videos of one split of `shapes`, drawn when they are read.

    Args:
        config: Options of the data set, damage included.
        split: As in `ProceduralSource`.
        draw: As in `ProceduralSource`.

    Raises:
        DataError: If there is no such split.
        UsageError: If an option is out of range.
    """

    name = "shapes"
    definition = DEFINITION

    def __init__(self, config: ShapesConfig, split: str = "train", draw: int = 0) -> None:
        super().__init__(config, split, draw)
        _check_config(config)
        self._config = config
        self._renderer = Renderer(config)

    def render(self, i: int, times: Float64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns video `i` at any real times, in frames; the length is no limit."""
        factors, now = self.factors(i), self._damaged_times(i, times)
        place = self._damaged_pose(i, factors, now, times)
        return self._renderer.draw(factors, place.centre, place.angle, now)

    def factors(self, i: int) -> Factors:
        """Returns all factors of video `i`."""
        table = self.factor_table(np.array([i]))
        values = {name: column[0].item() for name, column in table.items()}
        return Factors(**values)

    def factor_table(self, items: Int64[ndarray, "n"]) -> dict[str, Shaped[ndarray, "n"]]:
        """Returns all factors of many videos by name: int64 choices and float64 measures."""
        config = self._config
        index = np.array([self._index(int(i)) for i in items], dtype=np.uint64)
        u = dict(zip(FACTORS, uniform(config.seed, index[:, None], _IDS[None]).T, strict=True))
        if config.correlate:
            coin = uniform(config.seed, index, np.array([_CORRELATE_ID], dtype=np.uint64))
            source, target = config.correlate_from, config.correlate_to
            u[target] = np.where(coin < config.correlate, u[source], u[target])
        counts = {**_CHOICES, "shape": config.drop or _CHOICES["shape"]}
        table = {name: (u[name] * n).astype(np.int64) for name, n in counts.items()}
        if config.periodic is not None:
            table["periodic"] = np.full_like(table["periodic"], config.periodic)
        return table | {name: lo + u[name] * (hi - lo) for name, (lo, hi) in _MEASURES.items()}

    def truth(self, i: int, frames: Int64[ndarray, "t"]) -> Truth:
        """Returns what is true of the given frames of video `i`, damage included."""
        factors, times = self.factors(i), np.asarray(frames, dtype=np.float64)
        now = self._damaged_times(i, times)
        place = self._damaged_pose(i, factors, now, times)
        mask = self._renderer.coverage(factors, place.centre, place.angle) >= 0.5
        repeats = self._damaged_period(factors)
        velocity = place.velocity * (0 if self._config.freeze else 1)
        return Truth(factors, place.centre, place.angle, velocity, factors.size, mask, repeats)

    def _damaged_times(self, i: int, times: Float64[ndarray, "t"]) -> Float64[ndarray, "t"]:
        config = self._config
        if config.shuffle:
            ids = np.arange(config.frames, dtype=np.uint64) + np.uint64(_SHUFFLE_ID)
            index = np.array([self._index(i)], dtype=np.uint64)
            order = np.argsort(uniform(config.seed, index, ids), kind="stable")
            times = order[times.astype(np.int64) % config.frames].astype(np.float64)
        if config.loop:
            times = times % config.loop
        return np.zeros_like(times) if config.freeze else times

    def _damaged_period(self, factors: Factors) -> float:
        config, own = self._config, period(factors)
        if config.freeze or np.isnan(own):
            return float("nan")
        if config.shuffle:
            return float("inf")
        return own if not config.loop or config.loop % own == 0 else float(config.loop)

    def _damaged_pose(
        self,
        i: int,
        factors: Factors,
        now: Float64[ndarray, "t"],
        times: Float64[ndarray, "t"],
    ) -> Pose:
        place = pose(factors, now)
        if not self._config.jitter:
            return place
        noise = self._noise(i, times) * self._config.jitter / self._config.resolution
        return dataclasses.replace(place, centre=place.centre + noise)

    def _noise(self, i: int, times: Float64[ndarray, "t"]) -> Float64[ndarray, "t 2"]:
        """Returns standard normal pairs keyed by (index, frame), by Box and Muller."""
        first = np.uint64(_NOISE_ID) + np.uint64(4) * np.floor(times).astype(np.uint64)
        index = np.array([self._index(i)], dtype=np.uint64)
        u1, u2 = (uniform(self._config.seed, index, first + np.uint64(k)) for k in (0, 1))
        radius = np.sqrt(-2 * np.log1p(-u1))
        x, y = radius * np.cos(2 * np.pi * u2), radius * np.sin(2 * np.pi * u2)
        return np.stack([x, y], axis=1)


def _check_config(config: ShapesConfig) -> None:
    for name in ("correlate", "drift"):
        if not 0 <= getattr(config, name) <= 1:
            raise UsageError(f"dataset.{name}={getattr(config, name)}: must be within [0, 1]")
    for name in ("jitter", "blur", "loop", "drop"):
        if getattr(config, name) < 0:
            raise UsageError(f"dataset.{name}={getattr(config, name)}: must not be negative")
    if config.drop > len(SHAPES):
        raise UsageError(f"dataset.drop={config.drop}: there are {len(SHAPES)} kinds of shape")
    for name in (config.correlate_from, config.correlate_to):
        if name not in FACTORS:
            raise UsageError(
                f"'{name}' is not a factor of shapes; choose from {', '.join(FACTORS)}"
            )


def open_shapes(config: ShapesConfig, split: str = "train") -> ShapesSource:
    """Returns the videos of `split`; the target of `ShapesConfig`."""
    return ShapesSource(config, split)
