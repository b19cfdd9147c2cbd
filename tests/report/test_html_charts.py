"""Charts as numbers: scales, ticks, thinning."""

import math
from itertools import pairwise

import pytest

from vgbench.report.html.charts import Chart, Point, Series, draw, thinned


def line(*values, name="a", index=0):
    return Series(name, index, tuple(Point(float(x), float(y)) for x, y in enumerate(values)))


def coordinates(path):
    return [tuple(map(float, pair.split())) for pair in path.removeprefix("M").split("L")]


def test_a_straight_line_stays_straight_and_inside():
    chart = draw("t", "x", "y", [line(1, 2, 3, 4)])
    places = coordinates(chart.series[0].path)
    steps = {(round(b[0] - a[0], 1), round(b[1] - a[1], 1)) for a, b in pairwise(places)}
    assert len(steps) == 1
    assert all(chart.left <= x <= chart.right and chart.top <= y <= chart.bottom for x, y in places)
    assert places[0][1] > places[-1][1]  # y grows downwards


def test_ticks_stand_where_their_text_says():
    chart = draw("t", "x", "y", [line(10, 35)])
    a, b = chart.y_ticks[0], chart.y_ticks[-1]
    places = coordinates(chart.series[0].path)
    per_unit = (b.at - a.at) / (float(b.text) - float(a.text))
    assert a.at + (10 - float(a.text)) * per_unit == pytest.approx(places[0][1], abs=0.02)
    assert {float(tick.text) % 5 for tick in chart.y_ticks} == {0.0}


def test_values_far_apart_are_drawn_logarithmically():
    chart = draw("t", "x", "y", [line(0.1, 1, 10, 100)])
    heights = [y for _, y in coordinates(chart.series[0].path)]
    assert chart.is_log
    assert [a - b for a, b in pairwise(heights)] == pytest.approx(
        [heights[0] - heights[1]] * 3, abs=0.02
    )
    assert not draw("t", "x", "y", [line(-1, 100)]).is_log
    assert not draw("t", "x", "y", [line(0, 100)]).is_log


def test_an_interval_lies_around_its_dot():
    series = Series("a", 3, marks=(Point(1.0, 2.0, 1.5, 2.75),))
    drawn = draw("t", "x", "y", [series]).series[0]
    (mark,) = drawn.marks
    assert mark.hi < mark.y < mark.lo
    assert (mark.lo - mark.y) / (mark.y - mark.hi) == pytest.approx(0.5 / 0.75, rel=0.01)
    assert (drawn.index, drawn.path, mark.text) == (3, "", "2 at 1, 1.5 to 2.75")


@pytest.mark.parametrize("values", [(), (math.nan,), (math.inf, -math.inf)])
def test_nothing_finite_is_no_chart(values):
    assert draw("t", "x", "y", [line(*values)]) is None


def test_gaps_are_left_out():
    chart = draw("t", "x", "y", [line(1, math.nan, 3), line(math.nan)])
    (series,) = chart.series
    assert len(coordinates(series.path)) == 2


def test_one_value_is_a_dot_and_has_an_axis():
    chart = draw("t", "x", "y", [line(0.0)])
    assert len(chart.series[0].marks) == 1
    assert chart.series[0].path == ""
    assert len(chart.y_ticks) > 1
    assert all(math.isfinite(tick.at) for tick in chart.y_ticks)


def test_long_lines_are_thinned_by_averaging():
    points = [Point(float(i), float(i % 2)) for i in range(1000)]
    few = thinned(points, most=100)
    assert len(few) == 100
    assert {point.y for point in few} == {0.5}
    assert sum(p.x for p in few) / 100 == pytest.approx(sum(p.x for p in points) / 1000)
    assert thinned(points[:100], most=100) == tuple(points[:100])


def test_the_drawing_is_as_wide_as_it_says():
    assert (Chart.left, Chart.top) < (Chart.right, Chart.bottom) < (Chart.width, Chart.height)
