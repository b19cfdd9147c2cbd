"""Options of StyleSV: the released script, the schedule of both trainings, presets, sizes."""

from dataclasses import replace

import pytest
import torch

from tests.models.small_videos import small_stylesv
from vgbench.config.compose import compose
from vgbench.errors import UsageError
from vgbench.losses.regularizers import lazy_adam
from vgbench.models.checkpoint import build_model
from vgbench.models.stylesv.config import StyleSVConfig
from vgbench.types import VideoSpec

PAPER = VideoSpec(height=256, width=256)

# scripts/ytb_*.sh of genforce/StyleSV, by our names.
BOTH = {"z_dim": 512, "w_dim": 512, "channel_base": 16384, "channel_max": 512, "c_dim": 0,
        "flip": False, "lr_g": 0.0025, "lr_d": 0.002, "beta1": 0.0, "beta2": 0.99,
        "r1_interval": 16, "pl_weight": 0.0, "pl_interval": 0, "ema_kclips": 20.0,
        "ema_rampup": 0.0, "mbstd_group_size": 4, "layers": "T", "num_layers": 14,
        "margin": 10}  # fmt: skip
FINETUNE = {"r1_gamma": 8.0, "augment": "none", "frames": 3, "sampling": "random", "max_dist": 32,
            "spans": "dyadic", "window": 1024, "merge": "mean", "merge_resolution": 16,
            "temporal_shift": True, "freeze_d": 0, "interp_p": 0.0,
            "update_averages": False}  # fmt: skip
PRETRAIN = {"r1_gamma": 0.5, "augment": "ada", "augment_strength": 0.0, "ada_target": 0.6,
            "ada_interval": 4, "ada_kclips": 100.0, "mapping_layers": 2,
            "style_mixing": 0.0}  # fmt: skip
MOTION = {"z_dim": 512, "v_dim": 512, "distance": 256, "shortest_period": 256, "max_period": 1024,
          "frequencies": 256, "kernel": 11, "trajectory": "conv", "curve": "linear",
          "fourier": True}  # fmt: skip
FUSION = {"fuse": "concat", "mask_init": 0.0, "learn_mask": True, "low_rank": 0,
          "reference_compat": True}  # fmt: skip


def composed(tmp_path, *words):
    return compose(["model=stylesv", "dataset=shapes", *words], tmp_path)


def values(record, expected):
    return {name: getattr(record, name) for name in expected}


def test_the_release_is_the_published_script(tmp_path):
    config = composed(tmp_path, "budget=paper", "model.preset=release")
    model = config.model
    assert values(model, BOTH | FINETUNE) == BOTH | FINETUNE
    assert values(model.motion, MOTION) == MOTION
    assert values(model.fusion, FUSION) == FUSION
    (stage,) = model.stages()
    assert (stage.name, stage.model) == ("image", "stylegan3-frames")
    assert values(stage.config, BOTH | PRETRAIN) == BOTH | PRETRAIN
    # 25 000 thousand frames, three to a clip; as many single frames before.
    assert round(3 * config.budget.kclips / 1000) == 25
    assert config.budget.batch_size == 64
    assert config.stages.of["image"].kclips == 25000
    assert config.stages.of["image"].batch_size == 64


def test_the_default_differs_from_the_release_in_what_makes_it_smooth():
    config = StyleSVConfig()
    assert values(config, BOTH) == BOTH
    assert values(config, FINETUNE) == FINETUNE | {"update_averages": True}
    assert config.motion.curve == "smooth"
    assert not config.fusion.reference_compat
    assert values(config.stages()[0].config, PRETRAIN) == PRETRAIN


def test_adam_is_corrected_for_r1_alone():
    with torch.device("meta"):
        model = build_model(StyleSVConfig(pretrain=False), PAPER, 0)
    of_g, of_d = (optimizer.param_groups[0] for optimizer in model.configure_optimizers())
    assert (of_g["lr"], of_g["betas"]) == (0.0025, (0.0, 0.99))
    assert (of_d["lr"], of_d["betas"]) == tuple(lazy_adam(0.002, (0.0, 0.99), 16))
    sizes = [sum(p.numel() for p in n.parameters()) for n in (model.generator, model.discriminator)]
    assert sizes == [30_400_891, 25_333_824]


def test_both_discriminators_have_the_published_sizes():
    (stage,) = StyleSVConfig().stages()
    with torch.device("meta"):
        image = build_model(stage.config, PAPER, 0)
        concat = build_model(StyleSVConfig(merge="concat", temporal_shift=False), PAPER, 0)
    assert sum(p.numel() for p in image.discriminator.parameters()) == 24_001_089
    assert sum(p.numel() for p in concat.discriminator.parameters()) == 25_333_568


def test_without_pretraining_there_is_no_stage(tmp_path):
    config = composed(tmp_path, "model.pretrain=false")
    assert config.model.stages() == ()
    with pytest.raises(UsageError, match="no stages"):
        composed(tmp_path, "model.pretrain=false", "stages.image.kclips=1")


def test_the_stage_follows_the_options_of_the_networks(tmp_path):
    words = ("model.num_layers=4", "model.w_dim=32", "model.margin=6", "model.layers=R",
             "model.c_dim=3", "stages.image.kclips=2", "model.pretrain_r1_gamma=0.25")  # fmt: skip
    config = composed(tmp_path, *words)
    (stage,) = config.model.stages()
    expected = {"num_layers": 4, "w_dim": 32, "margin": 6, "layers": "R", "c_dim": 3}
    assert values(stage.config, expected) == expected
    assert stage.config.r1_gamma == 0.25
    assert config.stages.of["image"].kclips == 2
    spec = VideoSpec(height=32, width=32)
    assert stage.config.schedule(spec) == config.model.schedule(spec)


@pytest.mark.parametrize(("name", "frames"), [("sky_timelapse", 256), ("ffs", 16)])
def test_presets_know_how_slow_a_data_set_is(tmp_path, name, frames):
    motion = composed(tmp_path, f"model.preset={name}").model.motion
    assert (motion.distance, motion.shortest_period) == (frames, frames)
    assert (motion.curve, motion.frequencies) == ("smooth", 32)  # of the default and the budget


def test_a_preset_for_small_videos(tmp_path):
    model = composed(tmp_path, "budget=short", "model.preset=tiny").model
    assert (model.z_dim, model.motion.frequencies) == (64, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "S"}, "model.layers=S: expected one of T, R"),
        ({"num_layers": 2}, "model.num_layers=2: expected an integer >= 3"),
        ({"pretrain_augment": "some"}, "model.pretrain_augment=some: expected one of none, fixed"),
        ({"pretrain_r1_gamma": -1.0}, "model.pretrain_r1_gamma=-1.0: expected a float >= 0"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(UsageError, match=message):
        small_stylesv(**options)


def test_wrong_options_of_the_fusion_are_refused_by_name():
    fusion = small_stylesv().fusion
    with pytest.raises(UsageError, match=r"fusion.fuse=mix: expected one of concat, add"):
        replace(fusion, fuse="mix")
    with pytest.raises(UsageError, match=r"fusion.low_rank=-1: expected an integer >= 0"):
        replace(fusion, low_rank=-1)


def test_videos_must_be_square():
    with pytest.raises(UsageError, match="no networks for 16x32 videos"):
        build_model(small_stylesv(), VideoSpec(height=16, width=32), 0)
