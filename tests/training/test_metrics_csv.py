"""The scalars of a run as CSV: columns that come late, numbers that are absent, resuming."""

from vgbench.training.metrics_csv import MetricsCsv


def test_rows_need_not_have_all_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    scalars = MetricsCsv(path, 0)
    scalars.append(8, {"g": 1.0, "best": None})
    scalars.append(16, {"r1": 0.5, "g": 2.0})
    scalars.append(24, {"g": 3.0})
    assert path.read_text().splitlines() == [
        "clips_seen,g,best,r1",
        "8,1.0,,",
        "16,2.0,,0.5",
        "24,3.0,,",
    ]


def test_a_resumed_run_drops_what_it_repeats_and_keeps_the_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    first = MetricsCsv(path, 0)
    first.append(8, {"g": 1.0})
    first.append(16, {"g": 2.0, "r1": 0.5})
    again = MetricsCsv(path, 8)
    assert again.read() == [{"clips_seen": "8", "g": "1.0", "r1": ""}]
    again.append(16, {"g": 2.5})
    assert path.read_text().splitlines()[-1] == "16,2.5,"
    early = MetricsCsv(path, 0)
    assert early.read() == []
    early.append(8, {"g": 4.0})
    assert path.read_text().splitlines() == ["clips_seen,g,r1", "8,4.0,"]
