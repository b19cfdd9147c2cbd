"""Line charts as numbers: what a template needs to draw them as inline SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 8.0, 34.0
_MOST_POINTS = 200  # of a line; more cannot be told apart at this width
_LOG_RATIO = 50.0  # of largest to smallest value from which the axis is logarithmic


@dataclass(frozen=True)
class Point:
    """One value of a series.

    Attributes:
        x: Where.
        y: The value.
        lo: Lower end of its interval, if it has one.
        hi: Upper end.
    """

    x: float
    y: float
    lo: float | None = None
    hi: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one name, ascending in x.

    Attributes:
        name: For the legend.
        index: Which of the colours it has.
        line: Points that are joined.
        marks: Points that are drawn as dots, with their intervals.
    """

    name: str
    index: int
    line: tuple[Point, ...] = ()
    marks: tuple[Point, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """All points."""
        return self.line + self.marks


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis, in units of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A dot and the interval it stands for, in units of the drawing; `text` says the numbers."""

    x: float
    y: float
    lo: float
    hi: float
    text: str


@dataclass(frozen=True)
class Drawn:
    """A series in units of the drawing: `path` is the `d` of an SVG path."""

    name: str
    index: int
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Chart:
    """A chart in units of the drawing, which is `WIDTH` by `HEIGHT`, y downwards.

    Attributes:
        title: What is shown, for people who hear the page.
        x_label: Quantity and unit of the x axis.
        y_label: Of the y axis.
        x_ticks: Along the x axis.
        y_ticks: Along the y axis.
        series: What is drawn.
        is_log: Whether y is logarithmic.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Drawn, ...]
    is_log: bool

    width, height = WIDTH, HEIGHT
    left, right = _LEFT, WIDTH - _RIGHT
    top, bottom = _TOP, HEIGHT - _BOTTOM


@dataclass(frozen=True)
class _Axis:
    """A map from values to units of the drawing."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (self._warp(v) for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 2)

    def ticks(self) -> tuple[Tick, ...]:
        values = _log_ticks(self.low, self.high) if self.is_log else _ticks(self.low, self.high)
        return tuple(Tick(self.at(value), f"{value:.6g}") for value in values)

    def _warp(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.is_log else value


def draw(title: str, x_label: str, y_label: str, series: Iterable[Series]) -> Chart | None:
    """Returns a chart of the series; None where they hold no finite point.

    The y axis is logarithmic where all values are positive and far apart.

    Args:
        title: What is shown.
        x_label: Quantity and unit of x.
        y_label: Quantity and unit of y.
        series: What to draw; long lines are thinned by averaging neighbours.
    """
    kept = [one for one in map(_finite, series) if one.points]
    if not kept:
        return None
    points = [point for one in kept for point in one.points]
    lows = [p.y if p.lo is None else p.lo for p in points]
    highs = [p.y if p.hi is None else p.hi for p in points]
    is_log = min(lows) > 0 and max(highs) > _LOG_RATIO * min(lows)
    x_axis = _Axis(*_span([0.0, *(p.x for p in points)]), Chart.left, Chart.right)
    y_axis = _Axis(*_span([*lows, *highs], is_log), Chart.bottom, Chart.top, is_log)
    drawn = tuple(_drawn(one, x_axis, y_axis) for one in kept)
    return Chart(title, x_label, y_label, x_axis.ticks(), y_axis.ticks(), drawn, is_log)


def _finite(series: Series) -> Series:
    def finite(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple(p for p in points if math.isfinite(p.x) and math.isfinite(p.y))

    line, marks = thinned(finite(series.line)), finite(series.marks)
    if len(line) == 1 and not marks:  # one point is no line
        line, marks = (), line
    return Series(series.name, series.index, line, marks)


def thinned(points: Sequence[Point], most: int = _MOST_POINTS) -> tuple[Point, ...]:
    """Returns at most `most` points, each the mean of as many neighbours."""
    size = -(-len(points) // most) or 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple(
        Point(sum(p.x for p in group) / len(group), sum(p.y for p in group) / len(group))
        for group in groups
    )


def _span(values: Sequence[float], is_log: bool = False) -> tuple[float, float]:
    """Returns the ends of an axis, which differ and leave some air above and below."""
    low, high = min(values), max(values)
    if is_log:
        return low / 1.1, high * 1.1
    air = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    return (low if low == 0 else low - air), high + air


def _ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Returns round values between two others: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [i * step for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(powers) > 5 else (1, 2, 5)
    values = [factor * 10.0**power for power in powers for factor in factors]
    return [value for value in values if low <= value <= high]


def _drawn(series: Series, x_axis: _Axis, y_axis: _Axis) -> Drawn:
    places = [f"{x_axis.at(p.x):g} {y_axis.at(p.y):g}" for p in series.line]
    path = "M" + "L".join(places) if places else ""
    marks = tuple(
        Mark(
            x_axis.at(p.x),
            y_axis.at(p.y),
            y_axis.at(p.y if p.lo is None else p.lo),
            y_axis.at(p.y if p.hi is None else p.hi),
            f"{p.y:.5g} at {p.x:.5g}" + ("" if p.lo is None else f", {p.lo:.5g} to {p.hi:.5g}"),
        )
        for p in series.marks
    )
    return Drawn(series.name, series.index, path, marks)
