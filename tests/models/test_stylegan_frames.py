"""The registered image GANs: sizes, options, what they are measured by."""

import pytest
import torch

import vgbench
from vgbench.cli.evaluate import _protocols
from vgbench.config.compose import compose
from vgbench.data.config import ShapesConfig
from vgbench.data.synthetic import open_shapes
from vgbench.errors import FrameLimitError, ProtocolError, UsageError
from vgbench.metrics.protocol import get_protocol
from vgbench.models.checkpoint import build_model
from vgbench.models.stylegan3.config import StyleGAN3FramesConfig
from vgbench.models.stylegan3.generator import Generator
from vgbench.nn.stylegan3.options import LayerSchedule, config_r
from vgbench.registry import MODELS
from vgbench.types import VideoSpec

NAMES = ("stylegan2-frames", "stylegan3-frames")


def count(network):
    return sum(p.numel() for p in network.parameters())


def at_paper_size(name, tmp_path, *words):
    config = compose([f"model={name}", "dataset=shapes", "budget=paper", *words], tmp_path)
    with torch.device("meta"):
        return build_model(config.model, VideoSpec(3, 256, 256), 0), config


@pytest.mark.parametrize(
    ("words", "generator"),
    [
        (("stylegan2-frames",), 24_767_458),
        (("stylegan2-frames", "model.use_noise=false"), 24_767_445),
        # StyleSV's generator without motion: 30,400,379 less encoder, shift and fusion
        (("stylegan3-frames",), 30_400_379 - 6_292_480 - (512 * 512 + 512) - 524_800),
        (("stylegan3-frames", "model.layers=R"), None),
    ],
)
def test_paper_sizes(words, generator, tmp_path):
    model, config = at_paper_size(*words[:1], tmp_path, *words[1:])
    if generator is None:
        bands = config_r(LayerSchedule(256)).bands
        pairs = list(zip((bands[0], *bands[:-1]), bands, strict=True))
        generator = sum(a.channels * b.channels + b.channels for a, b in pairs)
        generator += sum(513 * a.channels for a, _ in pairs)
        generator += bands[0].channels ** 2 + 4 * 513 + 2 * (512 * 512 + 512)
        assert bands[0].channels == 1024
    assert count(model.generator) == generator
    assert count(model.discriminator) == 24_001_089
    assert (config.budget.batch_size, config.budget.kclips) == (64, 25000)
    assert str(model.clips) == "1 frames, image"


def test_the_published_generator_of_ffhq():
    with torch.device("meta"):
        assert count(Generator(LayerSchedule(1024, channel_base=32768))) == 22_313_167  # 22.3 M


@pytest.mark.parametrize("name", NAMES)
def test_images_are_measured_by_protocols_of_single_frames(name, tmp_path):
    demo = compose([f"model={name}", "dataset=shapes"], tmp_path)
    for protocol in (*demo.protocol.names, demo.protocol.watched):
        assert get_protocol(protocol).frames == 1
    other = compose([f"model={name}", "dataset=shapes", "protocol.names=[fid]"], tmp_path)
    assert other.protocol.names == ("fid",)
    assert _protocols(None, {"max_frames": 1})[-2:] == ["hed1", "hfd1"]
    assert _protocols(None, {"max_frames": None})[-2:] == ["hed16", "hfd16"]

    model = build_model(demo.model, VideoSpec(3, 32, 32), 0)
    with pytest.raises(FrameLimitError, match="draws at most 1 frames, 2 asked"):
        model.sample(1, 2, torch.Generator())
    source = open_shapes(ShapesConfig(resolution=32, videos=20))
    with pytest.raises(ProtocolError, match=r"takes 16 frames .*\n.*hed1, hfd1"):
        vgbench.evaluate(source, model, "hed16/demo")


def test_an_untrained_image_gan_has_a_row():
    config = MODELS.get("stylegan2-frames")(
        z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8
    )
    model = build_model(config, VideoSpec(3, 32, 32), 0)
    (row,) = vgbench.evaluate(
        open_shapes(ShapesConfig(resolution=32, videos=20)), model, "hed1/demo"
    )
    assert (row.metric, row.n_real, row.n_fake, row.frames) == ("hED1", 256, 256, 1)
    assert row.n_real_videos == 20
    assert row.value > 20 * row.null_sd


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stylegan2-frames", {"augment": "yes"}, "augment=yes: expected one of none, fixed, ada"),
        ("stylegan2-frames", {"lr_g": 0.0}, "lr_g=0.0: expected a float > 0"),
        ("stylegan2-frames", {"pl_interval": 0}, r"pl_interval=0: expected steps >= 1 as pl_weig"),
        ("stylegan2-frames", {"beta2": 1.0}, r"beta2=1.0: expected a float in \[0, 1\)"),
        ("stylegan2-frames", {"style_mixing": 1.5}, r"style_mixing=1.5: expected a float in"),
        ("stylegan3-frames", {"layers": "S"}, "layers=S: expected one of T, R"),
        ("stylegan3-frames", {"num_layers": 2}, "num_layers=2: expected an integer >= 3"),
    ],
)
def test_wrong_options_are_refused_by_name(name, options, message):
    with pytest.raises(UsageError, match=message):
        MODELS.get(name)(**options)


def test_rotating_layers_are_wider_and_smaller():
    t, r = (StyleGAN3FramesConfig(layers=k).schedule(VideoSpec(3, 64, 64)) for k in "TR")
    assert (r.kernel, r.radial_filters) == (1, True)
    assert r.channel_max == 2 * t.channel_max
