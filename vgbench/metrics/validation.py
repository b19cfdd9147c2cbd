"""Damage ladders: does a metric rise with known damage, and by how much more than by chance?

Two disjoint sets of footage of one distribution stand for the real and the generated videos. One
is damaged, mildly to strongly, and the response to a level is

    (D(level) - D(0)) / sd of D over random re-splits of the two undamaged sets,

the mean over several draws of clips. A metric passes a ladder if its responses keep the order of
the levels and the strongest one stands out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64
from numpy.random import Generator, Philox
from scipy.stats import spearmanr

from vgbench.errors import ProtocolError
from vgbench.metrics.damage import Clip
from vgbench.seeds import stream_seed

Rows = Float[np.ndarray, "_n _d"]
Statistic = Callable[[Rows, Rows], float]  # of the reference and of the other set
Normaliser = Callable[[Rows], Callable[[Rows], Rows]]  # from the reference
Extract = Callable[[Sequence[Clip]], Rows]
Progress = Callable[[str, int, int], None]

MIN_RHO = 0.9  # one pair of neighbouring levels may change places
MIN_STRONGEST, AT_CLIPS = 6.0, 256  # null standard deviations, at this many clips per set
_COPIED = 4  # clips that the copies are made of


@dataclass(frozen=True, eq=False)
class Footage:
    """What clips are taken from.

    Attributes:
        windows: Videos, read on demand; twice as long as a clip if a ladder changes the speed.
        groups: What each window is from, e.g. its file; windows of one group share their content.
        frames: Frames of a clip.
    """

    windows: Sequence[Clip]
    groups: Sequence[str]
    frames: int


@dataclass(frozen=True, eq=False)
class Shot:
    """One window of footage, seen as the clips that damage needs.

    Attributes:
        footage: All windows.
        number: Which one.
    """

    footage: Footage
    number: int

    @cached_property
    def clip(self) -> Clip:
        """The first frames of the window."""
        return self._window[: self.footage.frames]

    @cached_property
    def fast(self) -> Clip:
        """Every second frame of the window: the same content at twice the speed."""
        return self._window[: 2 * self.footage.frames : 2]

    @cached_property
    def other(self) -> Clip:
        """A clip of the next window that is of another group."""
        groups, count = self.footage.groups, len(self.footage.groups)
        numbers = ((self.number + step) % count for step in range(1, count))
        found = (i for i in numbers if groups[i] != groups[self.number])
        return self.footage.windows[next(found, self.number)][: self.footage.frames]

    @cached_property
    def _window(self) -> Clip:
        return self.footage.windows[self.number]


View = tuple[str, int]  # name of a ladder and number of a level; level 0 of a base is undamaged
Features = Mapping[View, Rows]


@dataclass(frozen=True, eq=False)
class Ladder:
    """One kind of damage in levels.

    Attributes:
        name: What tables call it.
        levels: Mildest first.
        kind: What a level is: a strength at which every clip is damaged (`strength`); the share of
            clips that are damaged (`share`), or that are copies of 4 (`copies`); the share of
            groups that are left (`groups`); or the label of other footage (`footage`).
        damage: From a shot, a level and a generator to a clip; for `strength` and `share`.
        footage: One per level; for `footage`.
        base: Undamaged view of both sets.
        held_out: Whether it was looked at only after the `jet` core was fixed.
        gated: Whether a metric must pass it.
    """

    name: str
    levels: tuple[float, ...]
    kind: Literal["strength", "share", "copies", "groups", "footage"] = "strength"
    damage: Callable[[Shot, float, Generator], Clip] | None = None
    footage: tuple[Footage, ...] = ()
    base: Literal["clip", "fast"] = "clip"
    held_out: bool = False
    gated: bool = True

    @property
    def views(self) -> tuple[View, ...]:
        """The damaged views that every clip of the test set is extracted in."""
        count = {"strength": len(self.levels), "share": 1}.get(self.kind, 0)
        return tuple((self.name, level) for level in range(count))


@dataclass(frozen=True)
class Settings:
    """Sizes of a validation.

    Attributes:
        n: Clips per set and draw; the footage should hold a quarter more.
        draws: Draws of clips from the footage.
        splits: Random re-splits per draw.
        seed: Key of damage, draws and re-splits.
    """

    n: int = 256
    draws: int = 3
    splits: int = 24
    seed: int = 0


@dataclass(frozen=True)
class Response:
    """How one statistic responds to one ladder.

    Attributes:
        ladder: The ladder.
        statistic: Name of the statistic.
        distances: Mean distance per level, undamaged first.
        null_sd: Root mean square, over the draws, of the null's standard deviation.
        n: Clips per set.
    """

    ladder: Ladder
    statistic: str
    distances: tuple[float, ...]
    null_sd: float
    n: int

    @property
    def values(self) -> tuple[float, ...]:
        """Response per level, mildest first, in null standard deviations."""
        undamaged, *damaged = self.distances
        return tuple((distance - undamaged) / self.null_sd for distance in damaged)

    @property
    def rho(self) -> float:
        """Spearman correlation of levels and distances, the undamaged set included."""
        if np.ptp(self.distances) == 0:
            return 0.0
        return float(spearmanr(range(len(self.distances)), self.distances).statistic)

    @property
    def passes(self) -> bool:
        """Whether order and strength suffice; the null's spread falls with 1 / n."""
        least = MIN_STRONGEST * min(1.0, self.n / AT_CLIPS)
        return self.rho >= MIN_RHO - 1e-9 and self.values[-1] >= least

    @property
    def passes_unscaled(self) -> bool:
        """Whether as much is reached at this n as is asked for at 256 clips."""
        return self.passes and self.values[-1] >= MIN_STRONGEST


def validate(
    reference: Footage,
    test: Footage,
    ladders: Sequence[Ladder],
    extract: Extract,
    statistics: Mapping[str, Statistic],
    settings: Settings,
    *,
    normaliser: Normaliser | None = None,
    on_progress: Progress | None = None,
) -> list[Response]:
    """Returns the responses of all statistics, in the order of the ladders.

    Args:
        reference: Stands for the real videos.
        test: Stands for generated ones; the same distribution, other videos.
        ladders: Kinds of damage.
        extract: From clips of one size to a feature row each.
        statistics: Distances of two sets of rows by name; larger is worse.
        settings: Sizes.
        normaliser: Fitted to the reference rows of each draw; None leaves features as they are.
        on_progress: Called with (stage, clips done, clips in all).

    Raises:
        ProtocolError: If there is less footage than a draw takes.
    """
    available = min(len(footage.windows) for footage in (reference, test))
    if available < settings.n:
        raise ProtocolError(
            f"draws of {settings.n} clips need as many windows on each side, got {available}"
        )
    tell = on_progress or (lambda stage, done, total: None)
    bases = sorted({(ladder.base, 0) for ladder in ladders})
    real = _features(reference, _clips_of(bases, ladders, settings), extract, tell, "reference")
    views = [*bases, *(view for ladder in ladders for view in ladder.views)]
    fake = _features(test, _clips_of(views, ladders, settings), extract, tell, "damaged")
    for ladder in ladders:
        for level, footage in enumerate(ladder.footage):
            clips = _clips_of([("clip", 0)], (), settings)
            rows = _features(footage, clips, extract, tell, f"{ladder.name} {level + 1}")
            fake[ladder.name, level] = rows["clip", 0]
    found = []
    for base in bases:
        draws = _draws(real[base], fake[base], normaliser, settings)
        ours = [ladder for ladder in ladders if ladder.base == base[0]]
        for name, statistic in statistics.items():
            sd = _null_sd(statistic, draws, settings)
            for ladder in ours:
                distances = _distances(statistic, ladder, draws, fake, test.groups)
                found.append(Response(ladder, name, distances, sd, settings.n))
    return sorted(found, key=lambda response: ladders.index(response.ladder))


def _clips_of(
    views: Sequence[View], ladders: Sequence[Ladder], settings: Settings
) -> dict[View, Callable[[Shot], Clip]]:
    """Returns how each view is made of a shot."""
    by_name = {ladder.name: ladder for ladder in ladders}
    undamaged: dict[View, Callable[[Shot], Clip]] = {
        ("clip", 0): lambda shot: shot.clip,
        ("fast", 0): lambda shot: shot.fast,
    }

    def damaged(view: View) -> Callable[[Shot], Clip]:
        ladder = by_name[view[0]]

        def make(shot: Shot) -> Clip:
            assert ladder.damage is not None
            # one key for all levels: they differ in strength alone
            key = stream_seed(settings.seed, f"damage/{ladder.name}", shot.number)
            return ladder.damage(shot, ladder.levels[view[1]], Generator(Philox(key=key)))

        return make

    return {view: undamaged[view] if view in undamaged else damaged(view) for view in views}


def _features(
    footage: Footage,
    views: Mapping[View, Callable[[Shot], Clip]],
    extract: Extract,
    tell: Progress,
    stage: str,
) -> dict[View, Rows]:
    """Returns the rows of all windows in each view; all views of one window at a time."""
    rows = []
    for number in range(len(footage.windows)):
        shot = Shot(footage, number)
        rows.append(extract([make(shot) for make in views.values()]))
        tell(stage, number + 1, len(footage.windows))
    return dict(zip(views, np.stack(rows, axis=1), strict=True))


@dataclass(frozen=True, eq=False)
class _Draw:
    """One draw of clips from either set.

    Attributes:
        number: Which draw.
        reference: Normalised rows of the reference.
        undamaged: Normalised rows of the test set.
        chosen: Windows of the test set, in random order.
        normalise: The normaliser fitted to the reference.
    """

    number: int
    reference: Rows
    undamaged: Rows
    chosen: Int64[np.ndarray, "n"]
    normalise: Callable[[Rows], Rows]


def _draws(
    real: Rows, fake: Rows, normaliser: Normaliser | None, settings: Settings
) -> Sequence[_Draw]:
    draws = []
    for number in range(settings.draws):
        rng = Generator(Philox(key=stream_seed(settings.seed, "draw", number)))
        rows = real[rng.permutation(len(real))[: settings.n]]
        chosen = rng.permutation(len(fake))[: settings.n]
        normalise = normaliser(rows) if normaliser else _identity
        draws.append(_Draw(number, normalise(rows), normalise(fake[chosen]), chosen, normalise))
    return draws


def _identity(rows: Rows) -> Rows:
    return rows


def _null_sd(statistic: Statistic, draws: Iterable[_Draw], settings: Settings) -> float:
    variances = []
    for draw in draws:
        rng = Generator(Philox(key=stream_seed(settings.seed, "null", draw.number)))
        pooled, n = np.concatenate([draw.reference, draw.undamaged]), len(draw.reference)
        orders = (rng.permutation(len(pooled)) for _ in range(settings.splits))
        values = [statistic(pooled[order[:n]], pooled[order[n:]]) for order in orders]
        variances.append(np.var(values, ddof=1))
    return float(np.sqrt(np.mean(variances)))


def _distances(
    statistic: Statistic,
    ladder: Ladder,
    draws: Sequence[_Draw],
    features: Features,
    groups: Sequence[str],
) -> tuple[float, ...]:
    """Returns the mean distance over the draws, undamaged and at every level."""
    table = []
    for draw in draws:
        sets = [_damaged_rows(ladder, i, draw, features, groups) for i in range(len(ladder.levels))]
        levels = [draw.undamaged, *(draw.normalise(rows) for rows in sets)]
        table.append([statistic(draw.reference, rows) for rows in levels])
    return tuple(np.mean(table, axis=0).tolist())


def _damaged_rows(
    ladder: Ladder, level: int, draw: _Draw, features: Features, groups: Sequence[str]
) -> Rows:
    """Returns the rows of the test set at one level of a ladder."""
    clean, chosen = features[ladder.base, 0], draw.chosen
    rows: Rows = clean[chosen]
    count = round(ladder.levels[level] * len(chosen))
    if ladder.kind in ("strength", "footage"):
        rows = features[ladder.name, level][chosen]
    elif ladder.kind == "groups":
        left = _some_groups(groups, chosen, ladder.levels[level], draw.number)
        rows = clean[np.resize(left, len(chosen))]
    elif ladder.kind == "share":
        rows[:count] = features[ladder.name, 0][chosen[:count]]
    else:
        rows[:count] = clean[np.resize(chosen[-_COPIED:], count)]
    return rows


def _some_groups(
    groups: Sequence[str], chosen: Int64[np.ndarray, "n"], share: float, number: int
) -> Int64[np.ndarray, "m"]:
    """Returns the chosen windows whose group is among a random `share` of the groups."""
    names = sorted({groups[i] for i in chosen})
    order = Generator(Philox(key=stream_seed(number, "groups"))).permutation(len(names))
    kept = {names[i] for i in order[: max(1, round(share * len(names)))]}
    return np.array([i for i in chosen if groups[i] in kept])
