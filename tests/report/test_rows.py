"""Leaderboard rows: their columns, and the hashes by which they are told apart."""

from dataclasses import fields

import pytest

from tests.report.made import ROW, another, made
from vgbench.report.rows import COLUMNS, MEASUREMENT, RANKING_KEY, LeaderboardRow, as_record, schema

# What decides a number must be in its row; a row may have more.
MANDATORY = [
    "metric",
    "value",
    "ci_lo",
    "ci_hi",
    "protocol_id",
    "feature_net",
    "feature_net_sha256",
    "weights_identity",
    "preprocess_id",
    "n_real",
    "n_fake",
    "n_real_videos",
    "n_fake_videos",
    "frames",
    "stride",
    "resolution",
    "dataset_fingerprint",
    "split",
    "seed_data",
    "seed_gen",
    "ddof",
    "checkpoint_sha256",
    "selection",
    "precision",
    "device",
    "vgbench_version",
    "date",
]
KEY = [
    "metric",
    "protocol_id",
    "feature_net_sha256",
    "preprocess_id",
    "n_real",
    "n_fake",
    "frames",
    "stride",
    "resolution",
    "dataset_fingerprint",
    "split",
    "ddof",
    "precision",
]


def test_a_row_has_every_column():
    assert set(MANDATORY) <= set(COLUMNS)
    assert set(KEY) <= set(RANKING_KEY) <= set(COLUMNS)
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert (COLUMNS[0], COLUMNS[-2:]) == ("model", ("row_sha256", "note"))


def test_a_record_has_the_columns_in_their_order():
    record = as_record(ROW)
    assert tuple(record) == COLUMNS == tuple(schema())
    assert set(COLUMNS) == {field.name for field in fields(LeaderboardRow)} | {"row_sha256"}
    assert record["row_sha256"] == ROW.row_sha256


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "row_sha256"])
def test_every_column_is_in_the_hash_of_the_row(name):
    other = made(**{name: another(name)})
    assert other.row_sha256 != ROW.row_sha256
    assert (other.measurement != ROW.measurement) == (name in MEASUREMENT)


def test_the_hash_of_a_row_is_of_its_values_alone():
    assert made(note="other", value=1.0).row_sha256 != ROW.row_sha256
    assert made().row_sha256 == ROW.row_sha256
    hashes = {made(value=v).row_sha256 for v in (float("nan"), float("inf"), 0.0, -0.0)}
    assert len(hashes) == 4


def test_optional_columns():
    optional = {name for name, column in schema().items() if column.optional}
    null = {"null_mean", "null_sd", "null_z"}
    assert optional == {"ci_lo", "ci_hi", "floor", *null, "seed_train", "clips_seen"}
    assert schema()["source"].choices == ("measured", "paper")
