"""Run folders as training and evaluation leave them, for tests of pages."""

from dataclasses import replace

import numpy as np

from tests.report.made import ROW as ANY_ROW
from vgbench import media
from vgbench.config.compose import compose
from vgbench.metrics.protocol import get_protocol
from vgbench.report.row_files import to_json
from vgbench.training.metrics_csv import MetricsCsv
from vgbench.training.run_folder import RunFolder

PROTOCOL = get_protocol("hed16/demo")
ROW = replace(
    ANY_ROW,
    value=1.5,
    ci_lo=1.4,
    ci_hi=1.6,
    clips_seen=8000,
    protocol_id=PROTOCOL.id,
    protocol_hash=PROTOCOL.hash,
)
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;]]>{{ 7 * 7 }}\n"
    "line 2 🎬 =1+1 " + "unbroken" * 1200 + "end"
)


def make_run(folder, words=(), rows=(ROW,), samples=True, history=40):
    """Returns a run folder with options, curves, samples and an evaluation."""
    words = ["model=g3an", "dataset=shapes", *words]
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    run.start(compose(words, folder), words)
    run.set_status("done", 8000, 0)
    log = MetricsCsv(run.metrics, 0)
    for i in range(1, history + 1):
        loss = {"d_video": 1.4 - 0.01 * i, "g_video": 0.7 + 0.3 * np.sin(i / 5)}
        watched = {PROTOCOL.id: 3.0 / (1 + i // 10) if i >= 10 else None}
        log.append(200 * i, {**loss, "clips_per_second": 50.0, **watched})
    if samples:
        media.write_clip(run.samples / "kclip-00008.000.mp4", moving_squares(), 25.0)
    if rows:
        write_rows(folder / "eval" / "a.json", rows)
    return folder


def moving_squares(frames=16, size=32):
    """Returns a grid of 4x4 videos of a moving square each, as training writes its samples."""
    videos = np.full((16, frames, size, size, 3), 40, dtype=np.uint8)
    for i, video in enumerate(videos):
        for t, frame in enumerate(video):
            left = (i + t) % (size - 8)
            frame[12:20, left : left + 8] = 40 * (i % 5) + 60, 200 - 12 * i, 80 + 10 * i
    return media.enlarge(media.grid(videos, 4), 4)


def many_rows(count, tables=1):
    """Returns rows of as many methods, over several data sets; the best is `m0`."""
    values = [1.0 + i / 97 for i in range(count)]
    return [
        replace(
            ROW,
            model=f"m{i}",
            dataset=f"data{i % tables}",
            value=value,
            ci_lo=value - 0.1,
            ci_hi=value + 0.1,
            checkpoint_sha256=f"{i:064x}",
        )
        for i, value in enumerate(values)
    ]


def write_rows(path, rows):
    """Writes an evaluation file and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(rows), encoding="utf-8")
    return path
