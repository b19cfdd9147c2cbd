"""Ladders on footage and features simple enough to know the answers; then the recipe itself."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vgbench
from tests.weights.made import i3d_state
from vgbench.data.arrays import ArraySource
from vgbench.errors import ProtocolError, WeightsError
from vgbench.metrics.kernel import minus_distance, mmd
from vgbench.metrics.ladders import groups_left, reversal, standard_ladders
from vgbench.metrics.validation import Footage, Ladder, Response, Settings, Shot, validate
from vgbench.metrics.validation_table import markdown_table, write_csv
from vgbench.weights.store import WeightStore

FRAMES = 4
RECIPE = Path(vgbench.__file__).parents[1] / "experiments" / "metric_validation" / "run.py"


def footage(seed, count=60, groups=6):
    """Grey windows that brighten by one level per frame from a random start."""
    starts = np.random.default_rng(seed).integers(40, 160, count)
    windows = []
    for start in starts:
        ramp = (start + np.arange(2 * FRAMES)).astype(np.uint8)
        windows.append(np.broadcast_to(ramp[:, None, None, None], (2 * FRAMES, 8, 8, 3)).copy())
    return Footage(windows, [f"file{i % groups}" for i in range(count)], FRAMES)


def brightness(clips):
    return np.array([[clip.mean()] for clip in clips])


def speed(clips):
    return np.array([[np.diff(clip[:, 0, 0, 0].astype(float)).mean()] for clip in clips])


def energy(x, y):
    return mmd(x, y, minus_distance)


def gap(x, y):
    return abs(float(y.mean() - x.mean()))


def darken(shot, level, rng):
    return (shot.clip * (1 - level)).astype(np.uint8)


def respond(ladder, extract=brightness, statistic=energy, n=40, **more):
    settings = Settings(n=n, draws=2, splits=16)
    (found,) = validate(
        footage(1), footage(2), [ladder], extract, {"D": statistic}, settings, **more
    )
    return found


def test_a_stronger_damage_is_further_away():
    found = respond(Ladder("dark", (0.1, 0.3, 0.6), damage=darken))
    assert found.rho == 1
    assert (np.diff(found.values) > 0).all()
    assert found.passes
    assert len(found.distances) == 4
    assert found.values[1] == (found.distances[2] - found.distances[0]) / found.null_sd


def test_a_share_damages_that_many_clips():
    ladder = Ladder("dark", (0.25, 0.5, 1.0), "share", lambda shot, _, __: shot.clip * 0)
    found = respond(ladder, statistic=lambda x, y: float((y == 0).mean()))
    assert found.distances == (0.0, 0.25, 0.5, 1.0)


def test_copies_are_of_four_clips():
    ladder = Ladder("copies", (0.25, 0.95), "copies")
    found = respond(ladder, statistic=lambda x, y: -float(len(np.unique(y))))
    undamaged, quarter, most = (-value for value in found.distances)
    assert most <= 4 + 2 < quarter < undamaged
    assert respond(ladder).rho == 1


def test_groups_that_are_left():
    def count(x, y):
        return -float(len(np.unique(y)))

    marked = []
    for side in (footage(1), footage(2)):
        shades = [float(name.removeprefix("file")) for name in side.groups]
        windows = [np.full_like(w, shade) for w, shade in zip(side.windows, shades, strict=True)]
        marked.append(Footage(windows, side.groups, FRAMES))
    found = validate(*marked, [groups_left()], brightness, {"D": count}, Settings(40, 1, 2))
    assert found[0].distances == (-6.0, -5.0, -4.0, -2.0, -1.0)


def test_other_footage_as_levels():
    dark = [Footage([w // k for w in footage(2).windows], footage(2).groups, 4) for k in (2, 4)]
    found = respond(Ladder("dark", (2.0, 4.0), "footage", footage=tuple(dark)), statistic=gap)
    assert found.rho == 1
    undamaged, half, quarter = found.distances
    assert (half, quarter) == pytest.approx((51, 76), abs=8)
    assert undamaged < 8


def test_speed_is_compared_at_the_ladders_own_base():
    ladders = {ladder.name.split(",")[0]: ladder for ladder in standard_ladders(FRAMES)}
    fast = respond(ladders["speed x2"], speed, gap)
    slow = respond(ladders["speed x0.5"], speed, gap)
    assert fast.distances == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert slow.distances == fast.distances
    backwards = respond(reversal("back", gated=False), speed, gap)
    assert backwards.distances == pytest.approx((0.0, 0.2, 0.5, 1.0, 2.0))


def test_the_normaliser_is_fitted_to_the_reference():
    fitted = []

    def fit(rows):
        fitted.append(rows)
        return lambda other: (other - rows.mean()) / rows.std()

    ladder = Ladder("dark", (0.5,), damage=darken)
    found = respond(ladder, statistic=gap, normaliser=fit)
    assert [len(rows) for rows in fitted] == [40, 40]
    plain = respond(ladder, statistic=gap)
    assert found.distances[1] == pytest.approx(plain.distances[1] / fitted[0].std(), rel=0.1)


def test_the_null_is_the_spread_by_chance():
    ladder = Ladder("dark", (0.5,), damage=darken)
    settings = Settings(n=50, draws=6, splits=60)
    (found,) = validate(
        footage(3),
        footage(4),
        [ladder],
        brightness,
        {"D": lambda x, y: float(x.mean() - y.mean())},
        settings,
    )
    assert found.null_sd == pytest.approx(np.sqrt(2 / 50) * 120 / np.sqrt(12), rel=0.2)


def test_levels_share_their_random_numbers_and_results_repeat():
    drawn = {}

    def damage(shot, level, rng):
        drawn.setdefault(shot.number, set()).add(rng.random())
        return darken(shot, level, rng)

    ladder = Ladder("dark", (0.1, 0.2), damage=damage)
    first = respond(ladder)
    assert {len(values) for values in drawn.values()} == {1}
    assert len({value for values in drawn.values() for value in values}) == 60
    assert respond(ladder).distances == first.distances


def test_results_are_in_the_order_of_the_ladders():
    ladders = standard_ladders(FRAMES)[:11]
    found = validate(
        footage(1, 12), footage(2, 12), ladders, brightness, {"A": gap, "B": gap}, Settings(8, 1, 2)
    )
    assert [one.ladder.name for one in found[::2]] == [ladder.name for ladder in ladders]
    assert [one.statistic for one in found] == ["A", "B"] * 11
    assert [one.distances for one in found[::2]] == [one.distances for one in found[1::2]]


def test_the_other_clip_is_of_another_group():
    three = footage(0, 3, groups=3)
    one = Footage(three.windows, ["a", "a", "b"], FRAMES)
    assert np.array_equal(Shot(one, 0).other, three.windows[2][:FRAMES])
    assert np.array_equal(Shot(one, 2).other, three.windows[0][:FRAMES])
    lonely = Footage(three.windows, ["a"] * 3, FRAMES)
    assert np.array_equal(Shot(lonely, 1).other, Shot(lonely, 1).clip)


def response(distances, n=256, sd=1.0):
    ladder = Ladder("any", tuple(map(float, range(1, len(distances)))))
    return Response(ladder, "D", tuple(distances), sd, n)


@pytest.mark.parametrize(
    ("distances", "n", "rho", "verdict"),
    [
        ((0.0, 1.0, 2.0, 3.0, 6.0), 256, 1.0, "yes"),
        ((0.0, 1.0, 2.0, 3.0, 5.9), 256, 1.0, "**no**"),
        ((0.0, -1.0, 2.0, 3.0, 7.0), 256, 0.9, "yes"),
        ((0.0, 3.0, 2.0, 1.0, 7.0), 256, 0.6, "**no**"),
        ((0.0, 0.0, 0.0, 0.0, 0.0), 256, 0.0, "**no**"),
        ((0.0, 0.1, 0.2, 0.3, 1.4), 64, 1.0, "**no**"),
        ((0.0, 0.1, 0.2, 0.3, 1.5), 64, 1.0, "at this n"),
        ((0.0, 0.1, 0.2, 0.3, 6.0), 64, 1.0, "yes"),
        ((0.0, 0.1, 0.2, 0.3, 5.9), 1024, 1.0, "**no**"),
        ((9.0, 8.0, 7.0, 6.0, 1.0), 256, -1.0, "**no**"),
        ((0.0, 3.0, 2.0, 1.0, 7.0), 64, 0.6, "**no**"),
    ],
)
def test_the_gate(distances, n, rho, verdict):
    found = response(distances, n)
    assert found.rho == pytest.approx(rho)
    assert found.passes is (verdict != "**no**")
    assert markdown_table([found]).endswith(f"| {verdict} |")


def test_too_little_footage():
    with pytest.raises(ProtocolError, match="draws of 61 clips need as many windows"):
        respond(groups_left(), n=61)


def test_the_standard_ladders():
    ladders = standard_ladders()
    names = [ladder.name for ladder in ladders]
    assert len(set(names)) == len(names)
    gated = {ladder.name.split(",")[0] for ladder in ladders if ladder.gated}
    assert len(gated) == 17
    assert "time reversal" not in gated
    long = {ladder.name: ladder.levels for ladder in standard_ladders(128)}
    assert long["last frames frozen"] == (16.0, 32.0, 64.0, 120.0)
    assert long["loop, frames"] == (112.0, 88.0, 64.0, 32.0)


def test_tables(tmp_path):
    asked = Ladder("asked", (1.0, 2.5), held_out=True)
    other = Ladder("other", (1.0, 2.5), gated=False)
    responses = [
        Response(asked, "A", (0.0, 1.0, 8.0), 1.0, 256),
        Response(asked, "B", (1.0, 2.0, 3.0), 2.0, 256),
        Response(other, "A", (0.0, 1.0, 8.0), 1.0, 256),
        Response(other, "B", (0.0, 1.0, 8.0), 1.0, 256),
    ]
    assert markdown_table(responses).splitlines() == [
        "| ladder | levels | A | rho | B | rho | A passes |",
        "|---|---|---|---|---|---|---|",
        "| asked (held out) | 1 / 2.5 | 1.0 / 8.0 | 1.00 | 0.5 / 1.0 | 1.00 | yes |",
        "| other | 1 / 2.5 | 1.0 / 8.0 | 1.00 | 1.0 / 8.0 | 1.00 | not asked |",
    ]
    assert "**no**" in markdown_table(responses[1:2])
    write_csv(tmp_path / "t.csv", responses, {"core": "x"})
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert rows[3] == {
        "core": "x",
        "ladder": "asked",
        "held_out": "True",
        "gated": "True",
        "statistic": "B",
        "n": "256",
        "level": "2.5",
        "response": "1.0",
        "distance": "3.0",
        "undamaged": "1.0",
        "null_sd": "2.0",
        "rho": rows[3]["rho"],
    }
    assert float(rows[3]["rho"]) == pytest.approx(1)


# The recipe -------------------------------------------------------------------------------------


def recipe(out, *words):
    command = [sys.executable, RECIPE, "--n", "64", "--draws", "2", "--out", out, "--gate", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_exchanged_sides_are_the_same_videos_the_other_way_round(monkeypatch):
    monkeypatch.syspath_prepend(RECIPE.parent)
    from footage import real_trials

    source = ArraySource(np.random.default_rng(0).integers(0, 256, (2, 40, 24, 24, 3), np.uint8))
    plain, exchanged = (
        list(real_trials(source, FRAMES, 16, exchange=flag)) for flag in (False, True)
    )
    assert len(plain) == len(exchanged) == 2
    for one, other in zip(plain, exchanged, strict=True):
        for side, same in ((one.reference, other.test), (one.test, other.reference)):
            assert side.groups == same.groups
            np.testing.assert_array_equal(side.windows, same.windows)
        assert not np.array_equal(one.reference.windows[0], one.test.windows[0])


@pytest.mark.slow
def test_jet_passes_a_reduced_gate(tmp_path):
    ladders = "noise,frozen,speed x,copies,flicker,values of trajectory,reversal"
    done = recipe(tmp_path / "jet", "--ladders", ladders)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hED: 7 of 7 ladders passed" in done.stdout
    assert (tmp_path / "jet.md").read_text() in done.stdout
    with (tmp_path / "jet.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["statistic"] == "hED"]
    strongest = {row["ladder"]: float(row["response"]) for row in rows}
    assert strongest["noise, sd"] > 50
    assert strongest["reversal of clockwise motion, share"] > 10
    assert abs(strongest["time reversal, share of clips"]) < 2


@pytest.mark.slow
def test_a_blind_metric_fails_the_gate(tmp_path):
    words = ("--statistics", "precision", "--ladders", "copies")
    done = recipe(tmp_path / "blind", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "precision lost: 0 of 1 ladders passed" in done.stdout


@pytest.mark.slow
def test_the_table_of_installed_weights_names_them(tmp_path):
    torch.save(i3d_state(), tmp_path / "published.pt")
    store = WeightStore(tmp_path / "weights")
    ref = store.import_weights("i3d-k400", tmp_path / "published.pt").ref
    words = ("--core", "i3d", "--weights-dir", tmp_path / "weights", "--ladders", "noise")
    sizes = ("--n", "4", "--frames", "9", "--draws", "1")
    done = recipe(tmp_path / "i3d", *words, *sizes)
    assert f"core i3d, weights other {ref.sha256[:8]}; n = 4" in done.stdout, done.stderr
    assert "| noise, sd | 0.01 / 0.03 / 0.08 / 0.2 |" in done.stdout
    with (tmp_path / "i3d.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["statistic"] for row in rows} == {"ED", "FD"}
    assert {row["weights"] for row in rows} == {f"other {ref.sha256}"}


@pytest.mark.slow
def test_weights_that_are_not_installed(tmp_path):
    done = recipe(tmp_path / "i3d", "--core", "i3d", "--weights-dir", tmp_path)
    assert done.returncode == WeightsError.exit_code
    assert done.stderr.startswith("error: ")
    assert "vgbench weights" in done.stderr
    assert not (tmp_path / "i3d.md").exists()
