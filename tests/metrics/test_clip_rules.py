"""What protocols do to generated videos."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.parity.draws import video
from vgbench.errors import ProtocolError, UsageError
from vgbench.metrics.clip_rules import cut_clip, fake_numbers, h264, to_pixels
from vgbench.metrics.protocol import get_protocol
from vgbench.video import to_uint8

FVD = get_protocol("fvd16")


def numbered(n):
    frames = torch.arange(n, dtype=torch.uint8)
    return frames[:, None, None, None].expand(n, 4, 6, 3).contiguous()


def firsts(protocol, n, count=200):
    clips = [cut_clip(numbered(n), protocol, seed=0, number=i) for i in range(count)]
    assert {len(clip) for clip in clips} == {protocol.frames}
    return {int(clip[0, 0, 0, 0]) for clip in clips}


def test_where_clips_start():
    assert firsts(FVD, 20) == {0, 1, 2, 3, 4}
    assert firsts(get_protocol("fvd16/styleganv"), 20, 3) == {0}
    assert firsts(get_protocol("vfid"), 33, 3) == {33 // 2 - 8}
    strided = cut_clip(numbered(130), get_protocol("fvd128s8/styleganv"), seed=0, number=0)
    assert strided[:, 0, 0, 0].tolist() == list(range(0, 128, 8))


def test_refusals():
    with pytest.raises(
        ProtocolError, match="needs >= 16 frames per generated video; video 7 has 9"
    ):
        cut_clip(numbered(9), FVD, seed=0, number=7)
    with pytest.raises(UsageError, match=r"generated video 3 is torch.float32"):
        cut_clip(numbered(16).float(), FVD, seed=0, number=3)


def test_pixels():
    x = torch.tensor([-1.5, -1, -0.999, 0, 0.5, 0.999, 1, 1.5])
    videos = x[None, None, :, None, None].expand(1, 3, -1, 1, 1)
    nearest, lower = (
        to_pixels(videos, p)[0, :, 0, 0, 0] for p in (FVD, get_protocol("kvd16/digan"))
    )
    assert torch.equal(to_pixels(videos, FVD), to_uint8(videos))
    assert lower.tolist() == [0, 0, 0, 127, 191, 254, 255, 255]
    assert ((nearest.int() - lower.int()) >= 0).all()
    assert (nearest.int() - lower.int()).max() == 1


@pytest.mark.parametrize("size", [(32, 48), (17, 33)])
def test_an_encoder_loses_a_little(size):
    smooth = torch.from_numpy(np.sort(video(0, 16, *size), axis=2))
    lossy = h264(smooth)
    assert lossy.shape == smooth.shape
    assert lossy.dtype == torch.uint8
    difference = (lossy.float() - smooth.float()).abs().mean()
    assert 0 < difference < 20
    assert torch.equal(lossy, h264(smooth))


def test_the_encoder_is_part_of_the_protocol():
    clip = torch.from_numpy(video(1, 16, 32, 32))
    protocol = get_protocol("fvd16/mocoganhd")
    assert torch.equal(cut_clip(clip, protocol, seed=0, number=0), h264(clip))
    plain = replace(protocol, fake_codec="none")
    assert torch.equal(cut_clip(clip, plain, seed=0, number=0), clip)


def test_few_videos_may_be_drawn_again():
    assert fake_numbers(FVD, 9, 5, seed=0).tolist() == [0, 1, 2, 3, 4]
    again = fake_numbers(get_protocol("fvd16/cdfvd"), 2048, 100, seed=0)
    assert again[:100].tolist() == list(range(100))
    assert len(again) == 2048
    assert len(set(again[100:].tolist())) == 100
    assert again.tolist() == fake_numbers(get_protocol("fvd16/cdfvd"), 2048, 100, seed=0).tolist()
