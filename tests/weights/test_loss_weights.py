"""Weights of losses: files as they are published, and distances against plain compositions."""

import hashlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vgbench.errors import UsageError, WeightsError
from vgbench.losses.trained import trained_distance
from vgbench.weights.catalog import KnownFile, read_catalog
from vgbench.weights.store import WeightStore


def alexnet():
    """The convolutions of torchvision's AlexNet."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def vgg16():
    """The convolutions of torchvision's VGG-16 without its last pooling."""
    layers, width = [], 3
    for block in ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3):
        layers += [nn.MaxPool2d(2, 2)] if layers else []
        for out in block:
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
            width = out
    return nn.Sequential(*layers)


# Trunk, its ReLUs that are looked at and their channels.
TRUNKS = {
    "lpips-alex": (alexnet, (1, 4, 7, 9, 11), (64, 192, 384, 256, 256)),
    "lpips-vgg": (vgg16, (3, 8, 15, 22, 29), (64, 128, 256, 512, 512)),
}


def published(name, folder):
    """Writes the two files of LPIPS; returns them, the trunk and the heads."""
    torch.manual_seed(0)
    build, _, channels = TRUNKS[name]
    trunk, heads = build().eval(), [torch.rand(1, c, 1, 1) for c in channels]
    state = {f"features.{key}": value for key, value in trunk.state_dict().items()}
    classifier = {"classifier.6.weight": torch.zeros(10, 4), "classifier.6.bias": torch.zeros(10)}
    torch.save(state | classifier, folder / "trunk.pth")
    torch.save({f"lin{i}.model.1.weight": w for i, w in enumerate(heads)}, folder / "heads.pth")
    return (folder / "trunk.pth", folder / "heads.pth"), trunk, heads


def plain_lpips(trunk, taps, heads, a, b):
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    total, heads = torch.zeros(len(a)), list(heads)
    a, b = (a - shift) / scale, (b - shift) / scale
    for i, layer in enumerate(trunk):
        a, b = layer(a), layer(b)
        if i in taps:
            units = [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
            apart = (units[0] - units[1]).square()
            total += F.conv2d(apart, heads.pop(0)).mean(dim=(1, 2, 3))
    return total.mean()


def images(side, n=2):
    return torch.rand(2, n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("name", TRUNKS)
def test_lpips_of_published_files_is_the_plain_composition(tmp_path, name):
    files, trunk, heads = published(name, tmp_path)
    store = WeightStore(tmp_path / "store")
    installed = store.import_weights(name, *files)
    assert (installed.identity, installed.source) == ("other", "trunk.pth + heads.pth")
    assert installed.layout == "torchvision (torch)"
    assert store.verify(name) == installed
    tensors, ref = store.load(name)
    assert ref == store.ref(name) == installed.ref
    distance = trained_distance(name, tensors)
    a, b = images(40)
    expected = plain_lpips(trunk, TRUNKS[name][1], heads, a, b)
    torch.testing.assert_close(distance(a, b), expected, rtol=1e-4, atol=1e-6)
    assert expected > 0.01
    assert not distance.state_dict()
    assert not list(distance.parameters())
    with pytest.raises(UsageError, match="32x32 pixels or more"):
        distance(a[..., :16, :16], b[..., :16, :16])


def test_parts_are_recognised_each_for_itself(tmp_path):
    files, *_ = published("lpips-alex", tmp_path)
    catalog = dict(read_catalog())

    def known(official=True, count=2):
        sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files[:count]]
        parts = tuple(KnownFile(f"part {s[:4]}", official, sha256_prefix=s) for s in sums)
        entry = catalog["lpips-alex"]
        entry = type(entry)(**{**vars(entry), "files": parts})
        return WeightStore(tmp_path / "store", {**catalog, "lpips-alex": entry})

    installed = known().import_weights("lpips-alex", *files)
    assert installed.identity == "official"
    assert installed.matched.count("part ") == 2
    assert known(official=False).verify("lpips-alex").identity == "other"
    assert known(count=1).verify("lpips-alex").matched == "unknown file"


def test_missing_parts_and_other_networks_are_refused(tmp_path):
    files, *_ = published("lpips-alex", tmp_path)
    store = WeightStore(tmp_path / "store")
    command = (
        "vgbench weights import lpips-alex /path/to/alexnet-owt-7be5be79.pth /path/to/alex.pth"
    )
    for given, message in (
        (files[:1], "5 tensors are missing (lin0.model.1.weight"),
        (files[1:], "in no known layout"),
        ((*files, files[0]), ""),  # named twice is named once
        ((*files, tmp_path / "copy.pth"), "holds 'classifier.6.bias', which another"),
    ):
        (tmp_path / "copy.pth").write_bytes(files[0].read_bytes())
        if not message:
            assert store.import_weights("lpips-alex", *given).source == "trunk.pth + heads.pth"
            continue
        with pytest.raises(WeightsError) as caught:
            store.import_weights("lpips-alex", *given)
        assert message in str(caught.value)
        assert ("expected: " + command in str(caught.value)) == (len(given) == 1)
    with pytest.raises(WeightsError, match="is not 'lpips-vgg'"):
        store.import_weights("lpips-vgg", *files)
    with pytest.raises(WeightsError) as caught:
        store.ref("lpips-vgg")
    assert "weights import lpips-vgg /path/to/vgg16-397923af.pth /path/to/vgg.pth" in str(
        caught.value
    )
    assert caught.value.exit_code == 4


# IR-SE-50 as InsightFace_Pytorch names it: channels and stride of each unit.
UNITS = [
    (width, 2 if i == 0 else 1)
    for width, depth in ((64, 3), (128, 4), (256, 14), (512, 3))
    for i in range(depth)
]


def arcface_state():
    """Returns drawn weights under the published names."""
    drawn, state, width = torch.Generator().manual_seed(2), {}, 64

    def conv(name, *shape):
        fan = shape[1] * shape[2] ** 2 if len(shape) == 4 else shape[1]
        state[f"{name}.weight"] = torch.randn(shape, generator=drawn) * (2 / fan) ** 0.5

    def norm(name, n):
        state[f"{name}.weight"] = torch.rand(n, generator=drawn) + 0.5
        state[f"{name}.bias"] = torch.randn(n, generator=drawn) * 0.1
        state[f"{name}.running_mean"] = torch.randn(n, generator=drawn) * 0.1
        state[f"{name}.running_var"] = torch.rand(n, generator=drawn) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("input_layer.0", 64, 3, 3, 3)
    norm("input_layer.1", 64)
    state["input_layer.2.weight"] = torch.rand(64, generator=drawn)
    for i, (out, _) in enumerate(UNITS):
        unit = f"body.{i}"
        if out != width:
            conv(f"{unit}.shortcut_layer.0", out, width, 1, 1)
            norm(f"{unit}.shortcut_layer.1", out)
        norm(f"{unit}.res_layer.0", width)
        conv(f"{unit}.res_layer.1", out, width, 3, 3)
        state[f"{unit}.res_layer.2.weight"] = torch.rand(out, generator=drawn)
        conv(f"{unit}.res_layer.3", out, out, 3, 3)
        norm(f"{unit}.res_layer.4", out)
        conv(f"{unit}.res_layer.5.fc1", out // 16, out, 1, 1)
        conv(f"{unit}.res_layer.5.fc2", out, out // 16, 1, 1)
        width = out
    norm("output_layer.0", 512)
    conv("output_layer.3", 512, 512 * 7 * 7)
    state["output_layer.3.bias"] = torch.randn(512, generator=drawn) * 0.1
    norm("output_layer.4", 512)
    return state


def plain_arcface(state, x):
    """Returns the embeddings of faces of 112 pixels, operation by operation."""

    def normed(name, x):
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in parts))

    def conv(name, x, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    x = F.prelu(normed("input_layer.1", conv("input_layer.0", x)), state["input_layer.2.weight"])
    for i, (out, stride) in enumerate(UNITS):
        unit, straight = f"body.{i}", x[:, :, ::stride, ::stride]
        if out != x.shape[1]:
            short = f"{unit}.shortcut_layer"
            straight = normed(f"{short}.1", conv(f"{short}.0", x, stride))
        y = conv(f"{unit}.res_layer.1", normed(f"{unit}.res_layer.0", x))
        y = F.prelu(y, state[f"{unit}.res_layer.2.weight"])
        y = normed(f"{unit}.res_layer.4", conv(f"{unit}.res_layer.3", y, stride))
        share = conv(f"{unit}.res_layer.5.fc1", y.mean(dim=(2, 3), keepdim=True)).relu()
        x = straight + y * conv(f"{unit}.res_layer.5.fc2", share).sigmoid()
    flat = normed("output_layer.0", x).flatten(1)
    flat = F.linear(flat, state["output_layer.3.weight"], state["output_layer.3.bias"])
    return F.normalize(normed("output_layer.4", flat))


@pytest.mark.slow
@torch.no_grad()
def test_identity_of_a_published_file_is_the_plain_composition(tmp_path):
    state = arcface_state()
    torch.save(state, tmp_path / "model_ir_se50.pth")
    store = WeightStore(tmp_path / "store")
    installed = store.import_weights("arcface", tmp_path / "model_ir_se50.pth")
    assert (installed.identity, installed.layout) == ("other", "insightface (torch)")
    distance = trained_distance("arcface", store.load("arcface")[0]).train()
    a, b = images(256, n=1)

    def embedded(x):
        return plain_arcface(state, F.adaptive_avg_pool2d(x[:, :, 35:223, 32:220], 112))

    expected = 1 - (embedded(a) * embedded(b)).sum(dim=1).mean()
    torch.testing.assert_close(distance(a, b), expected, rtol=1e-4, atol=1e-5)
    assert expected > 1e-3
    assert not distance.state_dict()
