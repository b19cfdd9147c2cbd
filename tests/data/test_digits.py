import sys

import numpy as np
import pytest

from vgbench.data.config import DigitsConfig
from vgbench.data.digits import DigitsSource
from vgbench.data.sources import open_dataset
from vgbench.errors import DataError, UsageError
from vgbench.registry import DATASETS

ALL = np.arange(32)


@pytest.fixture
def digits():
    pytest.importorskip("sklearn", reason="the extra `digits` is not installed")
    return lambda split="train", **options: open_dataset(DigitsConfig(**options), split)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError) as error:
        open_dataset(DATASETS.get("digits")())
    assert str(error.value) == (
        "dataset 'digits' needs scikit-learn (pip install vgbench[digits]); try dataset=shapes"
    )


def test_videos_are_grey_and_the_same_in_any_batch(digits):
    source, other = digits(), digits()
    whole = source.read(3, ALL)
    assert whole.dtype == np.uint8
    assert whole.shape == (32, 64, 64, 3)
    assert (whole[..., :1] == whole).all()
    assert whole.max() > 200
    assert (whole[[9, 2, 2]] == other.read(3, np.array([9, 2, 2]))).all()


def test_regression_values(digits):
    # a change here is a change of the definition: raise its version
    source = digits()
    assert [source.label(i) for i in range(4)] == [7, 75, 85, 97]
    sums = source.read(7, ALL[:3]).sum(axis=(1, 2, 3), dtype=np.int64)
    # sin and cos may differ in the last bit between machines, which may flip a rounding
    assert np.abs(sums - [416205, 416157, 416232]).max() <= 9


@pytest.mark.parametrize("resolution", [32, 64, 90])
def test_the_truth_is_where_the_digit_is(digits, resolution):
    source = digits(digits=1, resolution=resolution)
    mass = np.mgrid[:resolution, :resolution][::-1] + 0.5
    offsets = []
    for t in (0.0, 7.25, 40.5):
        picture = source.render(5, np.array([t]))[0, :, :, 0].astype(float)
        found = (mass * picture).sum(axis=(1, 2)) / picture.sum()
        truth = source.truth(5, np.array([t]))
        offsets.append(found / resolution - truth.centre[0, 0])
    # the centre of mass keeps its place in the digit, to a fraction of a pixel
    assert np.ptp(offsets, axis=0).max() < 0.1 / resolution


def test_velocity_is_the_derivative_and_speed_its_length(digits):
    source, h = digits(), 1e-5
    times = np.linspace(0.01, 300, 500)
    slope = (source.truth(2, times + h).centre - source.truth(2, times - h).centre) / (2 * h)
    truth = source.truth(2, times)
    smooth = np.abs(slope - truth.velocity).max(axis=(1, 2)) < 1e-6
    assert smooth.mean() > 0.99  # but for the moments of reflection
    assert np.allclose(np.linalg.norm(truth.velocity, axis=-1), truth.speed)
    assert (truth.speed >= 2 / 64).all()
    assert (truth.speed <= 5 / 64).all()


def test_digits_stay_in_the_picture(digits):
    for resolution in (28, 64):
        source = digits(resolution=resolution)
        half = round(28 / 64 * resolution) / resolution / 2
        for i in range(20):
            centre = source.truth(i, np.arange(400)).centre
            assert centre.min() >= half - 1e-9
            assert centre.max() <= 1 - half + 1e-9


def test_splits_share_no_digit_image(digits):
    used = {}
    for split in ("train", "test"):
        source = digits(split)
        used[split] = np.unique(
            np.concatenate([source.truth(i, ALL[:1]).images for i in range(400)])
        )
    assert used["train"].max() < 1500 <= used["test"].min()
    assert used["test"].max() < 1797
    assert len(used["test"]) > 220


def test_labels_are_the_digits(digits):
    source = digits()
    for i in range(20):
        first, second = source.truth(i, ALL[:1]).digits
        assert source.meta(i).label == 10 * first + second
    seen = np.bincount(np.concatenate([source.truth(i, ALL[:1]).digits for i in range(400)]))
    assert (seen > 40).all()


def test_where_digits_meet_the_brighter_pixel_wins(digits):
    # the first digit of two is the same as the only one of one
    alone, both = (digits(digits=n).read(0, ALL) for n in (1, 2))
    assert (both >= alone).all()
    assert (both != alone).any()


def test_fingerprint_changes_with_every_option(digits):
    prints = {digits(**options).fingerprint for options in ({}, {"digits": 1}, {"seed": 2})}
    assert len(prints | {digits("test").fingerprint, digits().redraw(1).fingerprint}) == 5


def test_options_out_of_range(digits):
    with pytest.raises(UsageError, match=r"dataset\.digits=0"):
        digits(digits=0)
    with pytest.raises(DataError, match="dataset 'digits' has no split 'val'"):
        DigitsSource(DigitsConfig(), "val")
