"""Measuring a model by how it rebuilds real clips."""

import pytest
import torch

import vgbench
from vgbench.data.config import ShapesConfig
from vgbench.metrics.protocol import get_protocol
from vgbench.models.base import ReconstructingGAN
from vgbench.models.checkpoint import build_model
from vgbench.models.stylegan2.config import StyleGAN2FramesConfig
from vgbench.models.stylevideogan.config import StyleVideoGANConfig
from vgbench.sampling import Image
from vgbench.subjects import open_subject
from vgbench.types import SampleRequest, VideoSpec


class Dimmer(ReconstructingGAN):
    """Makes clips darker, by nothing if told so."""

    max_frames = 1
    clips = SampleRequest(Image())

    def __init__(self, loss):
        super().__init__(StyleGAN2FramesConfig(), VideoSpec(height=32, width=32))
        self.generator = torch.nn.Linear(1, 1)
        self.loss = loss

    def train_clips(self, real, optimizers):
        raise AssertionError("not trained here")

    def draw(self, n, frames, generator):
        raise AssertionError("measured by reconstructions alone")

    def reconstruct(self, video):
        return (video + 1) * (1 - self.loss) - 1

    def remarks(self, video):
        return (f"saw {tuple(video.shape)} in [{video.min():.0f}, {video.max():.0f}]",)


@pytest.fixture(scope="module")
def shapes():
    return vgbench.open_dataset(ShapesConfig(resolution=32, videos=24))


@pytest.mark.slow
def test_a_perfect_model_scores_the_floor(shapes):
    protocols = ["hed16/demo@1", "hed1/demo@1"]
    perfect = vgbench.evaluate(shapes, Dimmer(0.0), protocols)
    dim = vgbench.evaluate(shapes, Dimmer(0.7), protocols)
    for good, bad in zip(perfect, dim, strict=True):
        assert good.value == pytest.approx(good.floor, abs=0.03)
        assert bad.value > 0.1 + good.value
    assert "saw (16, 3, 16, 32, 32) in [-1, 1]" in perfect[0].note


def test_clips_do_not_depend_on_how_they_are_asked_for(shapes):
    protocol = get_protocol("hed16/demo@1")
    clips = {}
    for size in (1, 4, "auto"):
        subject = open_subject(Dimmer(0.3), 0, "cpu", size, shapes)
        clips[size] = torch.stack(list(subject.read(protocol, 6, 0, 1)))
        odd = torch.stack(list(subject.read(protocol, 6, 1, 2)))
        assert torch.equal(odd, clips[size][1::2])
    assert torch.equal(clips[1], clips[4])
    assert torch.equal(clips[1], clips["auto"])
    more = torch.stack(list(subject.read(protocol, 30, 0, 1)))
    assert len(more) == 30  # more than there are videos
    assert torch.equal(more[:6], clips[1])


class Inversion(Dimmer):
    """The pictures that a model of latents makes of real clips, and nothing else."""

    def __init__(self, model):
        super().__init__(0.0)
        self.model = model

    def reconstruct(self, video):
        return self.model.reconstruct(video)


def test_rows_of_a_model_of_latents_state_the_ceiling(shapes):
    protocols = ["hed16/demo@1", "hfd16/demo@1"]
    model = build_model(
        StyleVideoGANConfig(backend="identity"), VideoSpec(height=32, width=32), seed=0
    )
    rows = vgbench.evaluate(shapes, model, protocols)
    for row, alone in zip(rows, vgbench.evaluate(shapes, Inversion(model), protocols), strict=True):
        ceiling = f"inversion ceiling {alone.metric} {alone.value:.4f}: its inversion of real clips"
        assert ceiling in row.note.split("; ")
        # an untrained model is far from it, and blurred pictures are no perfect ones
        assert row.value > 2 * alone.value > 2 * alone.floor
    assert "ceiling" not in vgbench.evaluate(shapes, Dimmer(0.0), protocols)[0].note
