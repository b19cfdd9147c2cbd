"""Protocols: golden hashes, names, refusals word for word."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from vgbench.errors import ProtocolError, UnknownNameError
from vgbench.metrics.protocol import (
    ALIASES,
    PROTOCOLS,
    EvalProtocol,
    check_enough,
    count_notes,
    get_protocol,
    metric_name,
    refuse_few,
)
from vgbench.registry import EXTRACTORS

# A hash that moves makes every published number incomparable: raise the protocol's version instead.
GOLDEN = {
    "coverage16/vgbench@1": "db4c69f434e0",
    "density16/vgbench@1": "52848c402939",
    "fid/vgbench@1": "b5c3625820b3",
    "fid50k/styleganv@1": "7b229539ce63",
    "fid50k/styleinv@1": "c9bff9de62d8",
    "fvd128/lvg@1": "afdfe65d7f87",
    "fvd128/styleganv@1": "f9b3425c10ad",
    "fvd128/styleinv@1": "c402c8868f60",
    "fvd128/vgbench@1": "a7d20cdb8b17",
    "fvd128s4/styleinv@1": "21da5e3b115a",
    "fvd128s8/lvg@1": "dbb4a9d1822d",
    "fvd128s8/styleganv@1": "d9253e210b5c",
    "fvd128s8/styleinv@1": "e2bf69c2dc9e",
    "fvd128s8/vgbench@1": "de50f766f372",
    "fvd16/cdfvd@1": "78b6b697cc0a",
    "fvd16/common-metrics@1": "363c2f79ed1d",
    "fvd16/digan@1": "732dd3b4c92c",
    "fvd16/lvg@1": "e64d14068a46",
    "fvd16/mocoganhd@1": "0a46e2e219af",
    "fvd16/original@1": "1feaa54e68f9",
    "fvd16/styleganv@1": "dad09b376989",
    "fvd16/styleinv@1": "d6ad756d163b",
    "fvd16/vgbench@1": "25257887a33c",
    "fvdinf128/vgbench@1": "7c7c9f890558",
    "fvdinf16/vgbench@1": "6125a2b39566",
    "hcoverage16/vgbench@1": "41f76cde0ce3",
    "hdensity16/vgbench@1": "f53c242cd241",
    "hed1/demo@1": "344395f4f87f",
    "hed1/vgbench@1": "69fd74127795",
    "hed128/vgbench@1": "c5aed771213c",
    "hed128/vgbench@2": "0e341b6b17f2",
    "hed16/demo@1": "b44117391f2a",
    "hed16/demo@2": "05e9a9f2b811",
    "hed16/vgbench@1": "bff9a129d600",
    "hed16/vgbench@2": "2caf99583a64",
    "hfd1/demo@1": "f586f778454b",
    "hfd1/vgbench@1": "199dec63a8ac",
    "hfd128/vgbench@1": "a9f79763c4b7",
    "hfd128/vgbench@2": "53291610c754",
    "hfd16/demo@1": "c20becd95b77",
    "hfd16/demo@2": "2dd85405942b",
    "hfd16/vgbench@1": "e808e1e543cf",
    "hfd16/vgbench@2": "335f23c859a4",
    "hmmd16/vgbench@1": "e55370caca25",
    "hprecision16/vgbench@1": "2352b99d220f",
    "hrecall16/vgbench@1": "65941f6c0589",
    "kid/subsets@1": "f0bc543a774b",
    "kid/vgbench@1": "9c096eb06f99",
    "kvd128/vgbench@1": "85601de13231",
    "kvd16/digan@1": "8a7da9d80316",
    "kvd16/vgbench@1": "32e9f7e83484",
    "precision16/vgbench@1": "898c6e594492",
    "recall16/vgbench@1": "98e977818b8a",
    "rfd128/vgbench@1": "3d63dae39835",
    "rfd16/vgbench@1": "4f712f8571ed",
    "rkvd128/vgbench@1": "75d74afdb883",
    "rkvd16/vgbench@1": "5e0e2c871883",
    "vfid/g3an@1": "1c584436ca54",
}


def test_hashes_are_the_published_ones():
    assert {name: protocol.hash for name, protocol in PROTOCOLS.load_all().items()} == GOLDEN


def test_every_field_moves_the_hash():
    base = get_protocol("fvd16")
    kinds = get_type_hints(EvalProtocol)
    for field in fields(base):
        value, kind = getattr(base, field.name), kinds[field.name]
        if get_origin(kind) is Literal:
            others = set(get_args(kind)) - {value}
        else:
            others = {"other"} if kind is str else {not value} if kind is bool else {7}
            others = {0.5} if kind == float | None else others
        for other in others:
            assert replace(base, **{field.name: other}).hash != base.hash, field.name


def test_a_modified_protocol_never_keeps_the_id():
    assert all(protocol.id == name for name, protocol in PROTOCOLS.load_all().items())
    modified = replace(get_protocol("fvd16"), ddof=0)
    assert modified.id == f"fvd16/vgbench@1+{modified.hash[:8]}"


def test_protocols_are_frozen():
    with pytest.raises(FrozenInstanceError):
        get_protocol("fvd16").ddof = 0
    with pytest.raises(TypeError):
        PROTOCOLS["fvd16/vgbench@1"] = None


@pytest.mark.parametrize(
    ("name", "expected"),
    [(short, f"{short}/vgbench@1") for short in ("fvd16", "fvd128", "fid", "hed1", "hmmd16")]
    + [(short, f"{short}/vgbench@2") for short in ("hed16", "hfd16", "hed128", "hfd128")]
    + list(ALIASES.items())
    + [("fvd16/styleganv", "fvd16/styleganv@1"), ("hed16/demo@1", "hed16/demo@1")]
    + [("hed16/demo", "hed16/demo@2")],
)
def test_names(name, expected):
    assert get_protocol(name).id == expected


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(
        UnknownNameError, match=r"unknown protocol 'fvd61'\. Did you mean .*'fvd16'"
    ):
        get_protocol("fvd61")
    with pytest.raises(UnknownNameError, match="'fvd16/styleganv@1'"):
        get_protocol("fvd16/stylegan@1")
    with pytest.raises(UnknownNameError):
        get_protocol("fvd16/styleganv@9")


def test_styleganv_rules():
    fvd = get_protocol("fvd2048_16f")
    assert (fvd.frames, fvd.stride, fvd.n_real, fvd.n_fake, fvd.ddof) == (16, 1, 2048, 2048, 0)
    assert (fvd.fake_start, fvd.real_start, fvd.mirror) == ("zero", "uniform", False)
    assert get_protocol("fvd128s8/styleganv").min_frames == 128
    fid = get_protocol("fid50k_full")
    assert (fid.n_real, fid.n_fake, fid.frames_per_fake_video) == (None, 50_000, 16)


def test_vgbench_rules():
    fvd = get_protocol("fvd16")
    assert (fvd.n_real, fvd.n_fake, fvd.ddof, fvd.fake_start) == (2048, None, 1, "uniform")
    demo, full = get_protocol("hed16/demo"), get_protocol("hed16")
    assert replace(demo, variant="vgbench", n_real=2048) == full
    assert replace(get_protocol("hfd16"), metric="hed16", statistic="energy") == full
    assert get_protocol("fid").n_real == get_protocol("fid").n_fake == 50_000


# What each peer does differently from StyleGAN-V, word for word the table of the documentation.
DIFFERENCES = {
    "fvd16/original": {
        "preprocess": "tf1-224",
        "n_real": None,
        "n_fake": None,
        "min_length": "span",
        "ddof": 1,
        "square_root": "svd-1e-10",
        "arithmetic": "float32",
    },
    "fvd16/mocoganhd": {
        "preprocess": "tf1-224",
        "min_length": "span",
        "ddof": 1,
        "square_root": "svd-1e-10",
        "arithmetic": "float32",
        "fake_codec": "h264",
    },
    "fvd16/digan": {
        "preprocess": "short-side-224+centre-crop",
        "bn_eps": 1e-5,
        "trials": 10,
        "real_order": "shuffled",
        "fake_uint8": "truncate",
        "ddof": 1,
        "square_root": "svd-1e-10",
        "arithmetic": "float32",
        "seed": 42,
    },
    "fvd16/lvg": {
        "real_clips": "cycle-videos",
        "real_order": "shuffled",
        "min_length": "span",
    },
    "fvd16/styleinv": {
        "real_order": "shuffled",
        "min_length": "span",
        "square_root": "svd-1e-10",
    },
    "fvd16/cdfvd": {
        "bn_eps": 1e-5,
        "n_real": None,
        "real_order": "shuffled",
        "min_length": "span",
        "fake_reuse": "with-replacement",
        "fake_uint8": "truncate",
    },
    "fvd16/common-metrics": {
        "preprocess": "short-side-224+centre-crop",
        "n_real": None,
        "n_fake": None,
        "min_length": "span",
        "ddof": 1,
    },
    "fvd16/vgbench": {"n_fake": None, "fake_start": "uniform", "ddof": 1},
}


@pytest.mark.parametrize(("name", "expected"), DIFFERENCES.items())
def test_peers_differ_in_what_they_are_known_to_differ(name, expected):
    base, peer = get_protocol("fvd16/styleganv"), get_protocol(name)
    differing = {
        field.name: getattr(peer, field.name)
        for field in fields(peer)
        if field.name != "variant" and getattr(peer, field.name) != getattr(base, field.name)
    }
    assert differing == expected


def test_lengths_of_peers():
    assert get_protocol("fvd128s8/styleganv").min_frames == 128
    assert get_protocol("fvd128s8/styleinv").min_frames == 121
    assert get_protocol("fvd2048_512f_subsample4f").min_frames == 127 * 4 + 1
    assert get_protocol("fvd128s4/styleinv").fake_span == 509


def test_image_protocols_of_peers():
    full, drawn = get_protocol("fid50k/styleganv"), get_protocol("fid50k/styleinv")
    assert (full.real_clips, drawn.real_clips) == ("all-frames", "random-videos")
    assert (full.n_real, drawn.n_real, drawn.n_fake) == (None, 50_000, 50_000)
    assert (full.square_root, drawn.square_root) == ("exact", "svd-1e-10")
    assert drawn.frames_per_fake_video == 16
    g3an = get_protocol("vfid")
    assert (g3an.real_start, g3an.fake_start, g3an.preprocess) == (
        "centre",
        "centre",
        "kinetics-112",
    )


@pytest.mark.parametrize("protocol", PROTOCOLS.load_all().values(), ids=list(PROTOCOLS))
def test_extractors_exist_and_preprocess_as_named(protocol):
    name, _, seed = protocol.extractor.partition(":")
    extractor = EXTRACTORS.get(name)
    known = getattr(extractor, "inputs", None)
    if known is None:
        assert extractor.preprocess_id.startswith(protocol.preprocess)
    else:
        assert protocol.preprocess in known
    assert bool(seed) <= getattr(extractor, "takes_seed", False)


@pytest.mark.parametrize(
    ("name", "identity", "sha256", "expected"),
    [
        ("fvd16", "official", "ab" * 32, "FVD16"),
        ("fvd128", "official", "ab" * 32, "FVD128"),
        ("fvd16", "other", "0123456789", "FD16[i3d:01234567]"),
        ("fvd128/styleganv", "random", "", "FD128[i3d:random]"),
        ("fid", "official", "ab" * 32, "FID"),
        ("fid", "other", "0123456789", "FD[inception:01234567]"),
        ("fid50k_full", "official", "ab" * 32, "FID50k"),
        ("hed16", "handcrafted", "", "hED16"),
        ("hfd16/demo", "handcrafted", "", "hFD16"),
        ("hed128", "handcrafted", "", "hED128"),
        ("hcoverage16", "handcrafted", "", "hcoverage16"),
        ("kvd16", "official", "ab" * 32, "KVD16"),
        ("kvd16/digan", "other", "0123456789", "KD16[i3d:01234567]"),
        ("kid", "official", "ab" * 32, "KID"),
        ("fvdinf16", "official", "ab" * 32, "FVDinf16"),
        ("precision16", "official", "ab" * 32, "precision16"),
        ("precision16", "other", "0123456789", "precision16[i3d:01234567]"),
        ("vfid", "official", "ab" * 32, "vFID"),
        ("rfd16", "random", "0123456789", "rFD16"),
        ("rkvd128", "random", "", "rKVD128"),
    ],
)
def test_a_number_is_named_after_its_weights(name, identity, sha256, expected):
    assert metric_name(get_protocol(name), identity, sha256) == expected


def test_enough_videos():
    lengths = [20] * 100 + [15] * 7
    counts = check_enough(get_protocol("fvd16"), lengths)
    assert (counts.n_real, counts.n_fake) == (100, 100)
    assert counts.notes == ("7 of 107 real videos shorter than 16 frames",)
    counts = check_enough(get_protocol("fvd16/styleganv"), [16] * 3000)
    assert (counts.n_real, counts.n_fake, counts.notes) == (2048, 2048, ())
    assert check_enough(get_protocol("fid50k_full"), [3, 200, 1]).n_real == 204
    assert check_enough(get_protocol("fid"), [3, 200]).n_real == 50_000
    assert check_enough(get_protocol("hed16/demo"), [16] * 300).n_fake == 256


def test_too_short_videos_are_refused_word_for_word():
    lengths = [16] * 870 + [3] + [128] * 126
    with pytest.raises(ProtocolError) as error:
        check_enough(get_protocol("fvd2048_128f"), lengths, dataset="x")
    assert str(error.value) == (
        "protocol fvd128/styleganv@1 needs >= 128 frames per real video; "
        "871 of 997 videos in 'x' are shorter\n"
        "  (fvd16/styleganv@1 would accept 996).  Nothing was evaluated."
    )
    assert error.value.exit_code == 7


def test_too_short_without_an_alternative():
    with pytest.raises(ProtocolError) as error:
        check_enough(get_protocol("hed16"), [8] * 50, dataset="tiny")
    assert str(error.value) == (
        "protocol hed16/vgbench@2 needs >= 16 frames per real video; "
        "50 of 50 videos in 'tiny' are shorter\n"
        "  Nothing was evaluated."
    )


def test_too_few_videos_are_refused_word_for_word():
    with pytest.raises(ProtocolError) as error:
        check_enough(get_protocol("fvd16"), [16] * 63, dataset="x")
    assert str(error.value) == (
        "protocol fvd16/vgbench@1 needs >= 64 clips on each side; "
        "there are 63 real clips in 'x'\n"
        "  (hed16 works with fewer clips).  Nothing was evaluated."
    )
    with pytest.raises(ProtocolError, match="there are 12 fake clips"):
        refuse_few(get_protocol("fvd16"), 2048, 12)
    with pytest.raises(ProtocolError, match="0 real clips"):
        check_enough(get_protocol("hed16"), [])
    check_enough(get_protocol("hed16"), [16] * 3)


def test_fewer_generated_clips_than_the_protocol_fixes_are_refused():
    with pytest.raises(ProtocolError) as error:
        refuse_few(get_protocol("fvd16/styleganv"), 2048, 500)
    assert str(error.value) == (
        "protocol fvd16/styleganv@1 needs 2048 generated clips; there are 500\n"
        "  Nothing was evaluated."
    )
    refuse_few(get_protocol("fvd16"), 2048, 500)


def test_directions():
    higher = {n for n, p in PROTOCOLS.load_all().items() if p.higher_is_better}
    assert {get_protocol(n).id for n in ("recall16", "hcoverage16")} <= higher
    assert not {get_protocol(n).id for n in ("fvd16", "hed16", "kid")} & higher


def test_notes_about_counts():
    fvd, hed = get_protocol("fvd16"), get_protocol("hed16/demo")
    assert count_notes(fvd, 2048, 2048, 400) == ()
    assert count_notes(fvd, 300, 300, 400) == (
        "n_real = 300 instead of 2048",
        "n = 300 <= 400 features: singular covariance, biased upwards",
    )
    assert count_notes(hed, 256, 200, 198) == (
        "n_fake = 200 instead of 256",
        "n = 200 < 256: large spread",
    )


def test_importing_protocols_imports_no_torch_or_numpy():
    code = (
        "import sys, vgbench.metrics.protocol as p; p.get_protocol('fvd16');"
        "sys.exit(bool({'torch', 'numpy', 'einops'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_protocols_that_can_share_a_pass():
    jet = {get_protocol(name).clip_settings for name in ("hed16", "hfd16", "fvd16")}
    assert len(jet) == 1
    others = ("hed16/demo", "fvd128", "fvd16/styleganv", "fid", "fid50k_full")
    assert len(jet | {get_protocol(name).clip_settings for name in others}) == 6
