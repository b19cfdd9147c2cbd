"""Inception of 2015-12-05 against recorded taps, logits and resized images."""

import pytest
import torch
from einops import rearrange

from tests.parity import draws
from tests.parity.conftest import assert_known, relative_error, under
from tests.parity.test_i3d import cases, loaded, relative_l2
from vgbench.metrics.extractors.inception import InceptionV3
from vgbench.metrics.extractors.resize import resize_half_pixel, resize_tf1, tf1

FILES = "inception_*.npz"
GATE = 5e-6
RESIZED = {"resized_sample": resize_tf1, "resized_torch_sample": resize_half_pixel}
ENTRIES = {
    *("image_seed", "shape", "crc32", "head", *RESIZED),
    *("64", "192", "768", "2048", "logits_unbiased", "logits"),
}


def images_of(case):
    n, height, width = (int(size) for size in case["shape"])
    images = draws.video(int(case["image_seed"]), 4 * n, height, width)[::4].copy()
    assert draws.crc32(images) == case["crc32"]
    assert (images.reshape(-1)[: case["head"].size] == case["head"]).all()
    return torch.from_numpy(images)


@torch.no_grad()
def check_case(net, case, name):
    assert_known(case, ENTRIES, name)
    images = images_of(case)
    pixels = rearrange(images, "n h w c -> n c h w").double()
    for key, resize in RESIZED.items():
        sample = resize(pixels, 299, 299)[:, :, 0::37, 0::41]
        error = relative_error(sample.numpy(), case[key])
        assert error <= 1e-12, f"{name}/{key}: relative error {error:.2g}"
    taps = net.taps(tf1(images))
    assert torch.equal(net(tf1(images)), taps[2048])
    got = {str(channels): features for channels, features in taps.items()}
    got["logits_unbiased"] = net.unbiased_logits(taps[2048])
    got["logits"] = net.fc(taps[2048])
    for key, value in got.items():
        error = relative_l2(value.double().numpy(), case[key])
        assert error <= GATE, f"{name}/{key}: relative L2 {error:.2g}"


@pytest.mark.parametrize("folded", [False, True], ids=["plain", "folded"])
def test_taps_and_logits(recorded, folded):
    arrays, _ = recorded
    names = cases(arrays)
    net = loaded(InceptionV3(), arrays)
    if folded:
        net.fold()
    for name in names:
        check_case(net, under(arrays, f"{name}/"), name)
