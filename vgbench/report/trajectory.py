"""A picture of motion codes over time: how fast they move, and along which path."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.errors import UsageError

_INCHES = (10.0, 4.0)


def speeds(
    codes: NDArray[np.floating[Any]], times: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Returns times half-way between the given ones, and `|dv/dt|` there, shape `(n, t - 1)`.

    Args:
        codes: Motion codes v(t) of some videos, shape `(n, t, d)`.
        times: In frames, ascending, shape `(t,)`.
    """
    steps = np.diff(times)
    distance = np.linalg.norm(np.diff(codes, axis=1), axis=2)
    return times[:-1] + steps / 2, distance / steps


def principal_axes(codes: NDArray[np.floating[Any]], count: int = 2) -> NDArray[np.floating[Any]]:
    """Returns the codes along the directions in which they vary most, shape `(n, t, count)`."""
    flat = codes.reshape(-1, codes.shape[-1])
    centred = flat - flat.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:count]
    projected: NDArray[np.floating[Any]] = centred @ axes.T
    return projected.reshape(*codes.shape[:2], -1)


def draw_trajectories(
    path: Path,
    codes: NDArray[np.floating[Any]],
    times: NDArray[np.floating[Any]],
    anchor_distance: int,
) -> None:
    """Writes a picture with the speed of motion codes over time and their path.

    Args:
        path: A file whose suffix matplotlib knows, e.g. `.png`, `.pdf`.
        codes: Motion codes v(t) of some videos, shape `(n, t, d)`.
        times: In frames, ascending, shape `(t,)`.
        anchor_distance: Frames between the anchors of the curves, which are marked.

    Raises:
        UsageError: If matplotlib is not installed.
    """
    figure_of = _matplotlib()
    figure = figure_of(figsize=_INCHES, layout="constrained")
    speed, route = figure.subplots(1, 2, width_ratios=(3, 2))
    anchors = np.arange(0, times[-1] + 1e-6, anchor_distance)
    at, fast = speeds(codes, times)
    flat = principal_axes(codes)
    marked = np.searchsorted(times, anchors).clip(max=len(times) - 1)
    for i, (one, way) in enumerate(zip(fast, flat, strict=True)):
        speed.plot(at, one, linewidth=1, label=f"video {i}")
        (line,) = route.plot(*way.T, linewidth=1)
        route.plot(*way[marked].T, "o", markersize=4, color=line.get_color())
    for anchor in anchors:
        speed.axvline(anchor, color="0.8", linewidth=0.8, zorder=0)
    speed.set(xlabel="frame", ylabel="|dv/dt| per frame", ylim=(0, None), xlim=times[[0, -1]])
    speed.set_title(f"speed of the motion code, anchors every {anchor_distance} frames")
    route.set(xlabel="first principal axis", ylabel="second", title="its path, anchors marked")
    if len(codes) > 1:
        speed.legend(loc="lower right", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _matplotlib() -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UsageError(
            "pictures of trajectories need matplotlib\n  pip install 'vgbench[plots]'"
        ) from error
    return Figure
