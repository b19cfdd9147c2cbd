"""Published numbers: only sure ones ship, each with its source."""

import csv
from importlib.resources import files

import pytest

from vgbench.config.presets import presets
from vgbench.metrics.protocol import PROTOCOLS
from vgbench.report.published import DATASETS, METRICS, published, reported_for


def test_only_sure_transcriptions_ship():
    text = files("vgbench.report").joinpath("published.csv").read_text(encoding="utf-8")
    confidences = [record["confidence"] for record in csv.DictReader(text.splitlines())]
    assert len(confidences) == len(published()) > 100
    assert set(confidences) == {one.confidence for one in published()} == {"high", "medium"}


def test_every_number_is_cited():
    for one in published():
        assert one.method
        assert one.source
        assert one.locator
        assert one.retrieved_from
        assert one.value > 0
        assert one.source in one.citation
        assert one.retrieved_from in one.citation
    assert len(set(published())) == len(published())


def test_names_are_those_that_vgbench_prepares_and_measures():
    for name in DATASETS.values():
        assert [preset for preset in presets() if preset.startswith(f"{name}_")], name
    metrics = {protocol.metric for protocol in PROTOCOLS.load_all().values()}
    assert set(METRICS) <= metrics
    assert {one.dataset for one in published()} >= {"SkyTimelapse", "FaceForensics", "UCF101"}


def test_numbers_of_a_data_set_and_a_metric():
    found = reported_for("sky_timelapse_256", "fvd128")
    assert {one.method for one in found} == {"StyleSV w/o TSM", "StyleSV w/ TSM"}
    assert {one.value for one in found} == {230.3, 135.9}
    assert reported_for("taichi_hd_256", "fvd16")
    spread = next(o for o in published() if o.dataset == "RealEstate" and o.method == "StyleGAN-V")
    assert (spread.sd, spread.resolution, spread.year) == (24.8039, 256, 2022)


@pytest.mark.parametrize(
    ("dataset", "metric"),
    [
        ("shapes", "fvd16"),
        ("sky_timelapse_2560", "fvd16"),
        ("sky_timelapse_128", "fvd16"),
        ("sky_timelapse", "fvd16"),
        ("sky_timelapse_256", "hed16"),
        ("None_256", "fvd16"),
    ],
)
def test_nothing_is_reported_for_others(dataset, metric):
    assert reported_for(dataset, metric) == ()
