"""Sweeps: their points, the names of those, and the name of the whole."""

import pytest

from vgbench.config.sweep import expand, is_decisive, split_group, sweep_name
from vgbench.errors import UsageError

RUN = ["model=g3an", "dataset=shapes"]


def test_sweeps_are_the_product_of_their_values():
    points = expand(["model=g3an", "seed=range(2)", "model.mode=1p2d,3d"])
    assert [point.words for point in points] == [
        ("model=g3an", "seed=0", "model.mode=1p2d"),
        ("model=g3an", "seed=0", "model.mode=3d"),
        ("model=g3an", "seed=1", "model.mode=1p2d"),
        ("model=g3an", "seed=1", "model.mode=3d"),
    ]
    assert points[3].name == "g3an-seed1-mode3d"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (RUN, ["g3an-shapes"]),
        ([*RUN, "seed=3"], ["g3an-shapes"]),
        (["model=g3an,styleganv", "dataset=shapes"], ["g3an-shapes", "styleganv-shapes"]),
        ([*RUN, "model.lr_g=1e-4,2e-4"], ["g3an-shapes-lr_g0.0001", "g3an-shapes-lr_g0.0002"]),
        ([*RUN, "model.init.x=a/b,c"], ["g3an-shapes-x-a_b", "g3an-shapes-x-c"]),
        ([*RUN, "seed=0,0"], ["g3an-shapes-seed0"]),
    ],
)
def test_a_point_is_named_after_what_varies(words, names):
    assert [point.name for point in expand(words)] == names


def test_names_that_would_be_equal_are_told_apart():
    points = expand([*RUN, "model.init.x=a/b,a_b"])
    names = {point.name for point in points}
    assert len(names) == 2
    assert all(name.startswith("g3an-shapes-x-a_b-") for name in names)
    assert names == {point.name for point in expand([*RUN, "model.init.x=a/b,a_b"])}


def test_the_name_of_a_sweep_is_that_of_its_decisive_words():
    name = sweep_name([*RUN, "seed=0,1"])
    assert sweep_name(["seed=0,1", *RUN, "trainer.threads=1", "logger=csv"]) == name
    assert sweep_name([*RUN, "seed=0,2"]) != name
    assert sweep_name([*RUN, "seed=0,1", "trainer.precision=bf16-mixed"]) != name


def test_what_decides_numbers():
    assert is_decisive("budget.kclips")
    assert is_decisive("trainer.precision")
    assert not is_decisive("trainer.devices")


def test_words_of_a_group_are_set_aside():
    words = [*RUN, "launcher=slurm", "launcher.time=1:00:00"]
    assert split_group(words, "launcher") == (words[2:], RUN)


def test_a_word_that_is_none():
    with pytest.raises(UsageError, match=r"'seed' is not understood"):
        expand(["seed"])
