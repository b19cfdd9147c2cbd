"""The evaluator: one pass, bounded memory, the same numbers for any batch size and world size."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.metrics.cores import Brightness, has_bf16
from tests.parity.draws import video
from vgbench.errors import DataError, ProtocolError, UsageError
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.evaluator import Evaluator
from vgbench.metrics.extractors.i3d import I3D, I3DLogits
from vgbench.metrics.extractors.inception import InceptionPool, InceptionV3
from vgbench.metrics.extractors.jet import JET_2, Jet2, JetNormalizer
from vgbench.metrics.frechet import frechet_distance
from vgbench.metrics.protocol import get_protocol
from vgbench.weights.record import WeightsRef

HED, HFD = get_protocol("hed16/demo"), get_protocol("hfd16/demo")
# the same features without normalisation: running statistics instead of rows
RAW = replace(HFD, variant="raw", normalise="none", null_splits=0)


def moved(seed, step, frames=16, size=32):
    first = video(seed, frames, size, size)[0]
    return np.stack([np.roll(first, t * step, axis=1) for t in range(frames)])


def real_clips(n=12, seed=0):
    return [moved(seed + i, 1 + i % 2) for i in range(n)]


def fake_clips(n=10, seed=500):
    return [video(seed + i, 16, 32, 32) if i % 4 == 0 else moved(seed + i, 3) for i in range(n)]


def jet_rows(clips):
    return Jet2.load()(torch.from_numpy(np.stack(clips))).double().numpy()


def test_scores_are_the_statistics_of_the_features():
    real, fake, again = real_clips(), fake_clips(), real_clips(8, seed=100)
    hed, hfd, raw = Evaluator([HED, HFD, RAW]).evaluate(real, fake, again)
    rows = [jet_rows(clips) for clips in (real, fake, again)]
    x, y, z = map(JetNormalizer.fit(rows[0], JET_2), rows)
    assert hed.value == pytest.approx(energy_distance(x, y), rel=1e-12)
    assert hed.floor == pytest.approx(energy_distance(x, z), rel=1e-12)
    assert hfd.value == pytest.approx(frechet_distance(x, y), rel=1e-12)
    assert hfd.floor == pytest.approx(frechet_distance(x, z), rel=1e-12)
    assert raw.value == pytest.approx(frechet_distance(rows[0], rows[1]), rel=1e-10)
    assert hed.null_z == pytest.approx((hed.value - hed.null_mean) / hed.null_sd)
    assert hed.value > hed.floor
    assert hed.null_z > 3


def test_a_score_says_where_it_comes_from():
    (score,) = Evaluator([HED], device="cpu").evaluate(real_clips(), fake_clips())
    assert (score.metric, score.protocol_id) == ("hED16", "hed16/demo@2")
    assert (score.protocol_hash, score.preprocess_id) == (HED.hash, "yuv601-l3")
    assert (score.feature_net, score.weights_identity) == ("jet-2", "handcrafted")
    assert (score.n_real, score.n_fake, score.frames, score.stride) == (12, 10, 16, 1)
    assert (score.resolution, score.ddof, score.device) == ("32x32", 1, "cpu")
    assert (score.precision, score.floor) == ("fp32", None)
    assert "n_real = 12 instead of 256" in score.note


def test_regression_values():
    protocols = [get_protocol(name) for name in ("hed16/demo@1", "hfd16/demo@1", "hed16/demo@2")]
    hed, hfd, newer = Evaluator(protocols, device="cpu").evaluate(real_clips(), fake_clips())
    assert newer.value == pytest.approx(0.42047516, rel=1e-4)
    assert hed.value == pytest.approx(0.28091569, rel=1e-4)
    assert hfd.value == pytest.approx(1.38505977, rel=1e-4)
    assert hed.null_mean == pytest.approx(-0.00505612, abs=1e-5)


def test_batch_size_changes_nothing():
    protocols = [HED, HFD, RAW]
    expected = Evaluator(protocols, batch_size=16).evaluate(real_clips(), fake_clips())
    for batch_size in (1, 3):
        evaluator = Evaluator(protocols, batch_size=batch_size)
        assert evaluator.evaluate(real_clips(), fake_clips()) == expected


def test_the_order_of_clips_changes_nothing():
    real, fake = real_clips(), fake_clips()
    expected = Evaluator([HED, RAW]).evaluate(real, fake)
    for a, b in zip(Evaluator([HED, RAW]).evaluate(real[::-1], fake[::-1]), expected, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-9)


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16 arithmetic")
def test_cores_without_weights_are_always_fp32():
    (score,) = Evaluator([HED], device="cpu", precision="bf16").evaluate(
        real_clips(3), fake_clips(3)
    )
    assert score.precision == "fp32"


def test_each_clip_is_asked_for_once_and_only_one_batch_is_alive():
    alive, most, made = weakref.WeakSet(), 0, 0

    def clips(n):
        nonlocal most, made
        for i in range(n):
            clip = torch.from_numpy(moved(i, 1))
            alive.add(clip)
            most, made = max(most, len(alive)), made + 1
            yield clip

    Evaluator([HED, HFD, RAW], batch_size=2).evaluate(clips(12), clips(12))
    assert made == 24
    assert most <= 4  # the batch in the making, and the last one's leftovers


def test_no_more_clips_are_read_than_the_protocol_takes():
    read = []

    def endless():
        clip = moved(0, 1)
        while True:
            read.append(1)
            yield clip

    small = replace(HED, n_real=5)
    (score,) = Evaluator([small], batch_size=3).evaluate(endless(), endless(), endless())
    assert (score.n_real, score.n_fake, len(read)) == (5, 5, 15)


def test_progress_is_told_to_the_end():
    told = []
    evaluator = Evaluator([HED], batch_size=5, on_progress=lambda *call: told.append(call))
    evaluator.evaluate(real_clips(), iter(fake_clips()))
    assert [call for call in told if call[0] == "real"] == [
        ("real", 0, 12),
        ("real", 5, 12),
        ("real", 10, 12),
        ("real", 12, 12),
    ]
    assert [call[1] for call in told if call[0] == "fake"] == [0, 5, 10, 10]
    assert told[-1] == ("statistics", 1, 1)


def test_different_clip_settings_are_asked_for_by_function():
    longer = replace(HED, metric="hed20", frames=20)
    asked = []

    def clips(protocol):
        asked.append(protocol.id)
        return [moved(i, 1, frames=protocol.frames) for i in range(4)]

    scores = Evaluator([longer, HED, HFD]).evaluate(clips, clips)
    assert [score.frames for score in scores] == [20, 16, 16]
    assert asked == [longer.id] * 2 + [HED.id] * 2
    with pytest.raises(UsageError, match="2 clip settings"):
        Evaluator([longer, HED]).evaluate(real_clips(), fake_clips())


def test_resolutions_must_agree():
    small = [moved(i, 1, size=28) for i in range(3)]
    with pytest.raises(
        ProtocolError, match="fake clip has 28x28 pixels, the first real clip 32x32"
    ):
        Evaluator([HED]).evaluate(real_clips(3), small)


def test_lengths_must_be_those_of_the_protocol():
    with pytest.raises(ProtocolError, match=r"real clip has 12 frames; .* takes clips of 16"):
        Evaluator([HED]).evaluate([moved(0, 1, frames=12)] * 3, fake_clips(3))


def test_too_few_clips_are_refused_before_any_is_generated():
    asked = []

    def fake(protocol):
        asked.append(protocol)
        return fake_clips(3)

    strict = replace(HED, min_clips=20)
    with pytest.raises(ProtocolError, match="12 real clips"):
        Evaluator([strict]).evaluate(lambda _: real_clips(), fake)
    assert not asked
    with pytest.raises(ProtocolError, match="1 fake clips"):
        Evaluator([HED]).evaluate(real_clips(), fake_clips(1))


def test_a_protocol_and_its_extractor_must_preprocess_alike():
    with pytest.raises(ProtocolError, match="demands the preprocessing 'other'"):
        Evaluator([replace(HED, preprocess="other")])


def test_larger_frames_take_more_levels():
    clips = [moved(i, 1, size=128) for i in range(3)]
    (score,) = Evaluator([HED]).evaluate(clips, clips[::-1])
    assert (score.preprocess_id, score.resolution) == ("yuv601-l4", "128x128")


class Broken(Brightness):
    def forward(self, clips):
        return super().forward(clips) * torch.nan


@pytest.mark.slow
def test_networks_share_the_pass_of_the_handcrafted_core():
    torch.manual_seed(0)
    i3d = I3DLogits(I3D(), WeightsRef("i3d-k400", "other", "0123456789"))
    fvd, hed = (replace(p, min_clips=2, n_real=4) for p in (get_protocol("fvd16"), HED))
    read = []

    def clips(seed):
        for clip in real_clips(4, seed):
            read.append(1)
            yield clip

    scores = Evaluator([fvd, hed], extractors={"i3d": i3d}).evaluate(clips(0), clips(50))
    assert len(read) == 8
    assert [score.metric for score in scores] == ["FD16[i3d:01234567]", "hED16"]
    rows = [
        i3d(torch.from_numpy(np.stack(real_clips(4, seed)))).double().numpy() for seed in (0, 50)
    ]
    assert scores[0].value == pytest.approx(frechet_distance(*rows), rel=1e-6)
    assert "n = 4 <= 400 features: singular covariance, biased upwards" in scores[0].note


def test_non_finite_features_are_an_error():
    with pytest.raises(DataError, match="not finite"):
        Evaluator([RAW], extractors={"jet-2": Broken()}).evaluate(real_clips(2), fake_clips(2))


def test_auto_goes_on_with_fewer_clips_when_memory_runs_out():
    expected = Evaluator([RAW], extractors={"jet-2": Brightness()}).evaluate(
        real_clips(), fake_clips()
    )
    small = Brightness(most=3)
    evaluator = Evaluator([RAW], batch_size="auto", extractors={"jet-2": small})
    assert evaluator.evaluate(real_clips(), fake_clips()) == expected
    # 12 clips, halved until they fit, and never more again
    assert small.calls == [12, 6, *[3] * 4, *[3] * 3, 1]


def test_a_batch_size_that_was_chosen_is_kept():
    net = Brightness(most=3)
    with pytest.raises(UsageError, match="out of memory with 5 clips at a time on cpu"):
        Evaluator([RAW], batch_size=5, extractors={"jet-2": net}).evaluate(
            real_clips(), fake_clips()
        )
    with pytest.raises(UsageError, match="one clip does not fit"):
        Evaluator([RAW], batch_size="auto", extractors={"jet-2": Brightness(most=0)}).evaluate(
            real_clips(), fake_clips()
        )


@pytest.mark.parametrize(
    ("clip", "given"),
    [
        (np.zeros((16, 32, 32, 3), np.float32), "torch.float32"),
        (np.zeros((16, 32, 32, 3), np.int64), "torch.int64"),
        (np.zeros((16, 32, 32), np.uint8), r"\(1, 16, 32, 32\)"),
    ],
)
def test_only_uint8_frames_are_clips(clip, given):
    with pytest.raises(DataError, match=f"expected uint8 clips .* 0..255, got .*{given}"):
        Evaluator([HED]).evaluate(iter([clip] * 3), fake_clips(3))


def test_unknown_precisions_and_devices_are_refused():
    with pytest.raises(UsageError, match="precision 'fp16': choose from fp32, tf32, bf16"):
        Evaluator([HED], device="cpu", precision="fp16")
    with pytest.raises(UsageError, match="this cpu has no tf32 arithmetic"):
        Evaluator([HED], device="cpu", precision="tf32")
    with pytest.raises(UsageError, match="device 'gpu': choose auto"):
        Evaluator([HED], device="gpu")


def test_a_network_with_other_normalisations_is_refused():
    torch.manual_seed(0)
    i3d = I3DLogits(I3D(), WeightsRef("i3d-k400", "other", "0123456789"))
    with pytest.raises(ProtocolError, match=r"eps 1e-05, those of extractor 'i3d' have 0\.001"):
        Evaluator([replace(get_protocol("fvd16"), bn_eps=1e-5)], extractors={"i3d": i3d})


def test_frames_of_a_clip_are_images_of_a_one_frame_protocol():
    torch.manual_seed(0)
    inception = InceptionPool(InceptionV3(), WeightsRef("inception-2015", "other", "0123456789"))
    fid = replace(get_protocol("fid50k_full"), min_clips=2, n_fake=4, frames_per_fake_video=2)
    real = [moved(i, 1, frames=3)[:k] for i, k in enumerate((3, 1))]
    fake = [moved(9 + i, 2, frames=2) for i in range(2)]
    evaluator = Evaluator([fid], batch_size=3, extractors={"inception-2015": inception})
    (score,) = evaluator.evaluate(real, fake)
    assert (score.n_real, score.n_fake, score.metric) == (4, 4, "FD50k[inception:01234567]")
    rows = [
        inception(torch.from_numpy(np.concatenate(clips))[:, None]).double().numpy()
        for clips in (real, fake)
    ]
    assert score.value == pytest.approx(frechet_distance(*rows, ddof=0), rel=1e-6)


def in_two_processes(rank, folder, mode):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    real, fake = real_clips(), fake_clips(11)
    if mode == "bad" and rank == 1:
        fake = [moved(0, 1, frames=12)] * 11
    evaluator = Evaluator([HED, HFD, RAW], batch_size=3, device="cpu")
    try:
        scores = evaluator.evaluate(real[rank::2], fake[rank::2])
        result = [score.value for score in scores] + [scores[0].n_real, scores[0].n_fake]
    except ProtocolError as error:
        result = str(error)
    torch.save(result, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path):
    expected = Evaluator([HED, HFD, RAW], device="cpu").evaluate(real_clips(), fake_clips(11))
    mp.spawn(in_two_processes, args=(str(tmp_path), "good"), nprocs=2)
    for rank in (0, 1):
        *values, n_real, n_fake = torch.load(tmp_path / f"{rank}.pt")
        assert values == pytest.approx([score.value for score in expected], rel=1e-12)
        assert (n_real, n_fake) == (12, 11)


@pytest.mark.slow
def test_an_error_of_one_process_reaches_all(tmp_path):
    mp.spawn(in_two_processes, args=(str(tmp_path), "bad"), nprocs=2)
    for rank in (0, 1):
        assert "a fake clip has 12 frames" in torch.load(tmp_path / f"{rank}.pt")


def test_an_iterable_of_many_parts_is_read_in_one_go(monkeypatch):
    monkeypatch.setattr("vgbench.metrics.feature_pass.SHARD_ITEMS", 3)
    few = replace(RAW, n_real=None, statistic="frechet")
    assert not few.needs_rows
    (parts,) = Evaluator([few], extractors={"jet-2": Brightness()}).evaluate(
        iter(real_clips()), iter(fake_clips())
    )
    monkeypatch.undo()
    (whole,) = Evaluator([few], extractors={"jet-2": Brightness()}).evaluate(
        iter(real_clips()), iter(fake_clips())
    )
    assert (parts.n_real, parts.n_fake) == (12, 10)
    assert parts.value == pytest.approx(whole.value, rel=1e-10)
