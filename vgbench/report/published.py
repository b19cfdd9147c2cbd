"""Numbers that papers and repositories report: shown beside measured ones, never ranked.

The data file holds what was transcribed from a primary source (`high`) or agrees between good
secondary ones (`medium`). Its protocols differ from each other and are known in part at best.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

# What the sources call the data sets and metrics that vgbench prepares and measures.
DATASETS = {
    "SkyTimelapse": "sky_timelapse",
    "TaiChi-HD": "taichi_hd",
    "FaceForensics": "ffs",
    "DeeperForensics": "deeperforensics",
    "YouTubeDriving": "youtube_driving",
    "CelebV-HQ": "celebv_hq",
    "UCF101": "ucf101",
    "UvA-NEMO": "uva_nemo",
    "MUG": "mug",
    "Weizmann": "weizmann",
    "RainbowJelly": "rainbow_jelly",
}
METRICS = {"fvd16": "FVD16", "fvd128": "FVD128", "kvd16": "KVD16", "vfid": "video-FID"}


@dataclass(frozen=True)
class Reported:
    """One published number with where it stands.

    Attributes:
        method: Method, in the words of the source.
        year: When the method was published, or None.
        dataset: Data set, in the words of the source.
        resolution: Height in pixels, or None where the source does not say.
        metric: Metric, in the words of the source, e.g. `FVD16`.
        value: The number.
        sd: Its standard deviation, or None.
        protocol: What is known of how it was measured.
        source: Title of the source.
        locator: Table, figure or section in it.
        retrieved_from: Where it was read.
        confidence: How sure the transcription is: `high` or `medium`.
        note: What else a reader must know.
    """

    method: str
    year: int | None
    dataset: str
    resolution: int | None
    metric: str
    value: float
    sd: float | None
    protocol: str
    source: str
    locator: str
    retrieved_from: str
    confidence: str
    note: str

    @property
    def citation(self) -> str:
        """Where it stands and all that is known of it, in one line."""
        year = f" ({self.year})" if self.year else ""
        about = "; ".join(filter(None, (self.protocol, self.note)))
        return f"{self.source}{year}, {self.locator} [{self.retrieved_from}]: {about}"


@cache
def published() -> tuple[Reported, ...]:
    """Returns all published numbers that ship with vgbench."""
    text = files("vgbench.report").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_reported(record) for record in csv.DictReader(text.splitlines()))


def reported_for(dataset: str, metric: str) -> tuple[Reported, ...]:
    """Returns the published numbers for a data set of vgbench and the metric of a protocol.

    Args:
        dataset: Name of a prepared data set, e.g. `sky_timelapse_256`.
        metric: First part of a protocol's id, e.g. `fvd16`.
    """

    def is_meant(one: Reported) -> bool:
        name = DATASETS.get(one.dataset)
        same = name is not None and f"{dataset}_".startswith(f"{name}_{one.resolution}_")
        return same and one.metric == METRICS.get(metric)

    return tuple(one for one in published() if is_meant(one))


def _reported(record: dict[str, str]) -> Reported:
    return Reported(
        method=record["method"],
        year=int(record["year"]) if record["year"] else None,
        dataset=record["dataset"],
        resolution=int(record["resolution"]) if record["resolution"] else None,
        metric=record["metric"],
        value=float(record["value"]),
        sd=float(record["std"]) if record["std"] else None,
        protocol=record["protocol"],
        source=record["source_title"],
        locator=record["source_locator"],
        retrieved_from=record["retrieved_from"],
        confidence=record["confidence"],
        note=record["note"],
    )
