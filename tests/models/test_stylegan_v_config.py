"""Options of StyleGAN-V: the published configuration, presets, sizes."""

import pytest
import torch

from tests.models.small_videos import SPEC, built, per_video, small_styleganv, trained
from vgbench.config.compose import compose
from vgbench.errors import UsageError
from vgbench.losses.regularizers import lazy_adam
from vgbench.models.base import Clips
from vgbench.models.checkpoint import build_model
from vgbench.models.stylegan_v.config import StyleGANVConfig
from vgbench.types import VideoSpec

# configs and `src/train.py` of universome/stylegan-v, by our names.
PUBLISHED = {"z_dim": 512, "w_dim": 512, "channel_base": 16384, "channel_max": 512, "flip": True,
             "lr_g": 0.0025, "lr_d": 0.0025, "beta1": 0.0, "beta2": 0.99, "r1_gamma": 0.2048,
             "r1_interval": 16, "pl_weight": 0.0, "ema_kclips": 20.0, "augment": "ada",
             "ada_target": 0.6, "ada_interval": 4, "ada_kclips": 100.0, "frames": 3,
             "sampling": "random", "max_dist": 32, "window": 1024, "merge": "concat",
             "merge_resolution": 16, "merge_divisor": 2, "temporal_shift": False,
             "conditioning": "concat_const", "use_noise": False}  # fmt: skip
MODES = ["concat_const", "concat_w", "sum_w"]


def test_the_paper_budget_is_the_published_configuration(tmp_path):
    config = compose(["model=styleganv", "dataset=shapes", "budget=paper"], tmp_path)
    assert {name: getattr(config.model, name) for name in PUBLISHED} == PUBLISHED
    assert (config.model.motion.curve, config.model.motion.distance) == ("linear", 16)
    assert round(3 * config.budget.kclips / 1000) == 25
    assert config.model.stages() == ()


@pytest.mark.parametrize(("side", "g", "d"),
                         [(256, 32_105_941, 25_333_568), (64, 31_158_031, 24_739_840)])  # fmt: skip
def test_networks_have_the_published_sizes_and_learning_rates(side, g, d):
    with torch.device("meta"):
        model = build_model(StyleGANVConfig(), VideoSpec(height=side, width=side), 0)
    sizes = [sum(p.numel() for p in n.parameters()) for n in (model.generator, model.discriminator)]
    assert sizes == [g, d]
    of_g, of_d = (optimizer.param_groups[0] for optimizer in model.configure_optimizers())
    assert of_g["lr"] == pytest.approx(0.002)
    assert of_g["betas"] == pytest.approx((0.0, 0.99**0.8))
    assert (of_d["lr"], of_d["betas"]) == tuple(lazy_adam(0.0025, (0.0, 0.99), 16))


@pytest.mark.slow
def test_a_training_step_at_the_papers_size(tmp_path):
    words = ["model=styleganv", "dataset=shapes", "dataset.resolution=256", "budget=paper"]
    model = build_model(compose(words, tmp_path).model, VideoSpec(height=256, width=256), 0)
    before = model.generator.synthesis.b256.conv1.weight.detach().clone()
    times = torch.tensor([[3.0, 10.0, 35.0]])
    real = Clips(torch.rand(1, 3, 3, 256, 256) * 2 - 1, times, torch.tensor([-1]))
    scalars = model.train().train_clips(real, model.configure_optimizers())
    assert set(scalars) >= {"g", "d", "r1"}
    assert all(torch.isfinite(value) for value in scalars.values())
    assert not torch.equal(model.generator.synthesis.b256.conv1.weight, before)


def test_one_frame_needs_no_times():
    with torch.device("meta"):
        model = build_model(StyleGANVConfig(frames=1), VideoSpec(height=256, width=256), 0)
    assert sum(p.numel() for p in model.discriminator.parameters()) == 21_379_393


@pytest.mark.parametrize("conditioning", MODES)
@pytest.mark.parametrize("trajectory", ["conv", "lstm"])
def test_each_way_for_motion_trains_and_moves(conditioning, trajectory):
    motion = {**vars(small_styleganv().motion), "trajectory": trajectory}
    config = small_styleganv(conditioning=conditioning, use_noise=True)
    config = type(config)(**{**vars(config), "motion": type(config.motion)(**motion)})
    model = build_model(config, SPEC, 0)
    before = {name: p.detach().clone() for name, p in model.generator.named_parameters()}
    trained(model, 1)
    still = [n for n, p in model.generator.named_parameters() if torch.equal(p, before[n])]
    assert still == []
    video = model.sample(1, 30, per_video(0))
    assert (video[:, :, 1:] - video[:, :, :-1]).abs().amax((1, 3, 4)).min() > 1e-4


def test_presets_know_how_slow_a_data_set_is(tmp_path):
    words = ["model=styleganv", "dataset=shapes", "budget=paper", "model.preset=sky_timelapse"]
    motion = compose(words, tmp_path).model.motion
    assert (motion.distance, motion.shortest_period, motion.curve) == (256, 256, "linear")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conditioning": "add"}, "model.conditioning=add: expected one of concat_const, concat_w"),
        ({"conditioning": "sum_w", "w_dim": 9}, "model.w_dim=9: sum_w needs .* motion codes, 8"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(UsageError, match=message):
        small_styleganv(**options)


def test_frames_must_be_joined_where_there_are_maps():
    with pytest.raises(UsageError, match="merged at 16x16"):
        built("styleganv", merge_resolution=16)
