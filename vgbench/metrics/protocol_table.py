"""The built-in protocols: vgbench's own, and those behind published numbers.

What each peer does was read in its released code; `docs/evaluation.md` tabulates the differences.
Importing this module fills `PROTOCOLS`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from vgbench.metrics.protocol_record import PROTOCOLS, EvalProtocol, StatisticName

# Set metrics that share the clips and features of a Fréchet distance. The letters replace those
# of `fvd`; on the weight-free cores `h` (handcrafted) or `r` (random network) comes first.
_MANIFOLD: tuple[StatisticName, ...] = ("precision", "recall", "density", "coverage")

_FVD = EvalProtocol(
    "fvd16",
    "vgbench",
    statistic="frechet",
    extractor="i3d",
    preprocess="styleganv",
    bn_eps=1e-3,
    frames=16,
)
_STYLEGANV = replace(_FVD, variant="styleganv", n_fake=2048, fake_start="zero", ddof=0)
_STYLEINV = replace(
    _STYLEGANV,
    variant="styleinv",
    real_order="shuffled",
    min_length="span",
    square_root="svd-1e-10",
)
_DIGAN = replace(
    _STYLEGANV,
    variant="digan",
    preprocess="short-side-224+centre-crop",
    bn_eps=1e-5,
    trials=10,
    real_order="shuffled",
    fake_uint8="truncate",
    ddof=1,
    square_root="svd-1e-10",
    arithmetic="float32",
    seed=42,
)
_INCEPTION = EvalProtocol(
    "fid",
    "vgbench",
    statistic="frechet",
    extractor="inception-2015",
    preprocess="tf1",
    bn_eps=1e-3,
    frames=1,
    n_real=50_000,
    n_fake=50_000,
    real_clips="cycle-videos",
)
_KID = replace(_INCEPTION, metric="kid", statistic="mmd-poly3", n_real=20_000, n_fake=20_000)
_FID50K = replace(
    _INCEPTION,
    metric="fid50k",
    variant="styleganv",
    n_real=None,
    real_clips="all-frames",
    real_start="all",
    fake_start="zero",
    frames_per_fake_video=16,
    ddof=0,
)
_JET = EvalProtocol(
    "hed16",
    "vgbench",
    statistic="energy",
    extractor="jet",
    preprocess="yuv601",
    frames=16,
    normalise="reference",
    null_splits=24,
    min_clips=2,
)
_RANDOM = replace(
    _FVD, metric="rfd16", extractor="i3d-random:0", normalise="z-score", null_splits=24, min_clips=2
)


def _i3d_family() -> Iterator[EvalProtocol]:
    """FVD and its relatives on the logits of I3D."""
    for base in (_FVD, _STYLEGANV):
        yield base
        yield replace(base, metric="fvd128", frames=128)
        yield replace(base, metric="fvd128s8", stride=8)
    for frames in (16, 128):
        clips = replace(_FVD, frames=frames)
        yield replace(clips, metric=f"kvd{frames}", statistic="mmd-poly3")
        yield replace(clips, metric=f"fvdinf{frames}", statistic="frechet-infinity")
    for name in _MANIFOLD:
        yield replace(_FVD, metric=f"{name}16", statistic=name, neighbours=5)
    yield replace(_DIGAN, metric="fvd16")
    yield replace(
        _DIGAN, metric="kvd16", statistic="mmd-poly3", square_root="exact", arithmetic="float64"
    )
    yield _STYLEINV
    yield replace(_STYLEINV, metric="fvd128", frames=128)
    yield replace(_STYLEINV, metric="fvd128s8", stride=8)
    yield replace(_STYLEINV, metric="fvd128s4", frames=128, stride=4)


def _other_fvds() -> Iterator[EvalProtocol]:
    """Fréchet video distances of other tools; each differs in what it names."""
    original = replace(
        _FVD,
        variant="original",
        preprocess="tf1-224",
        n_real=None,
        fake_start="zero",
        min_length="span",
        square_root="svd-1e-10",
        arithmetic="float32",
    )
    yield original
    yield replace(original, variant="mocoganhd", n_real=2048, n_fake=2048, fake_codec="h264")
    lvg = replace(_STYLEGANV, variant="lvg", real_clips="cycle-videos", real_order="shuffled")
    yield replace(lvg, min_length="span")
    yield replace(lvg, metric="fvd128", frames=128, min_length="span")
    yield replace(lvg, metric="fvd128s8", stride=8, min_length="span")
    yield replace(
        _STYLEGANV,
        variant="cdfvd",
        bn_eps=1e-5,
        n_real=None,
        real_order="shuffled",
        min_length="span",
        fake_reuse="with-replacement",
        fake_uint8="truncate",
    )
    yield replace(
        _STYLEGANV,
        variant="common-metrics",
        preprocess="short-side-224+centre-crop",
        n_real=None,
        n_fake=None,
        min_length="span",
        ddof=1,
    )
    yield EvalProtocol(
        "vfid",
        "g3an",
        statistic="frechet",
        extractor="resnext101-k400",
        preprocess="kinetics-112",
        bn_eps=1e-5,
        frames=16,
        n_real=None,
        real_start="centre",
        fake_start="centre",
        min_length="span",
    )


def _image_family() -> Iterator[EvalProtocol]:
    """FID and KID of single frames."""
    yield _INCEPTION
    yield _KID
    yield replace(_KID, variant="subsets", statistic="mmd-poly3-subsets")
    yield _FID50K
    yield replace(
        _FID50K,
        variant="styleinv",
        n_real=50_000,
        real_clips="random-videos",
        real_start="uniform",
        square_root="svd-1e-10",
    )


def _weightless_families() -> Iterator[EvalProtocol]:
    """The same questions asked of cores that need no weights."""
    for frames in (16, 128):
        energy = replace(_JET, metric=f"hed{frames}", frames=frames)
        yield energy
        yield replace(energy, metric=f"hfd{frames}", statistic="frechet")
        yield replace(_RANDOM, metric=f"rfd{frames}", frames=frames)
        yield replace(_RANDOM, metric=f"rkvd{frames}", frames=frames, statistic="mmd-poly3")
    demo = replace(_JET, variant="demo", n_real=256)
    yield demo
    yield replace(demo, metric="hfd16", statistic="frechet")
    # `jet` sees neither blended frames of slow footage nor long loops; the cores of version 2 do
    for energy in (
        replace(_JET, extractor="jet-2", version=2),
        replace(demo, extractor="jet-2", version=2),
        replace(_JET, metric="hed128", frames=128, extractor="jet-long", version=2),
    ):
        yield energy
        yield replace(energy, metric=f"hfd{energy.frames}", statistic="frechet")
    # Single frames: the part of `jet` that they have, chosen as for FID.
    image = replace(_JET, metric="hed1", frames=1, extractor="jet-image", real_clips="cycle-videos")
    for frames_core in (image, replace(image, metric="hfd1", statistic="frechet")):
        yield frames_core
        yield replace(frames_core, variant="demo", n_real=256)
    yield replace(_JET, metric="hmmd16", statistic="mmd-rational-quadratic")
    for name in _MANIFOLD:
        yield replace(_JET, metric=f"h{name}16", statistic=name, neighbours=5, null_splits=0)


for _family in (_i3d_family, _other_fvds, _image_family, _weightless_families):
    for _protocol in _family():
        PROTOCOLS.register(_protocol.name, _protocol)

# Names that other tools use for the same protocols.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "fvd2048_16f": "fvd16/styleganv@1",
        "fvd2048_128f": "fvd128/styleganv@1",
        "fvd2048_128f_subsample8f": "fvd128s8/styleganv@1",
        "fvd2048_512f_subsample4f": "fvd128s4/styleinv@1",
        "fid50k_full": "fid50k/styleganv@1",
    }
)
