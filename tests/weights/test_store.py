import dataclasses
import hashlib
import json
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from tests.parity import draws
from tests.weights.made import (
    TINY,
    deepmind_names,
    i3d_state,
    save_checkpoint,
    save_tiny,
    save_torchscript,
    stylegan_v_names,
)
from vgbench.errors import UnknownNameError, UsageError, WeightsError
from vgbench.metrics.extractors.i3d import I3DLogits
from vgbench.metrics.extractors.jet import Jet
from vgbench.metrics.protocol import get_protocol, metric_name
from vgbench.weights.catalog import KnownFile, find_entry, read_catalog
from vgbench.weights.crc32c import masked_crc32c
from vgbench.weights.store import WeightStore, convert, tensors_sha256


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same I3D in the three published layouts."""
    folder = tmp_path_factory.mktemp("files")
    state = i3d_state()
    torch.save(state, folder / "rgb.pt")
    save_torchscript(folder / "script.pt", stylegan_v_names(state))
    save_checkpoint(folder / "model.ckpt", deepmind_names(state))
    return [folder / "rgb.pt", folder / "script.pt", folder / "model.ckpt.index"]


def catalog_with(**changes):
    """Returns the catalog with other facts about `i3d-k400`."""
    catalog = dict(read_catalog())
    catalog["i3d-k400"] = dataclasses.replace(catalog["i3d-k400"], **changes)
    return catalog


def checksums():
    """Returns the checksums that the catalog would hold of the drawn network."""
    state = i3d_state()
    names = read_catalog()["i3d-k400"].crc32c
    arrays = {name: state[name].numpy() for name in names}
    arrays = {k: a.transpose(2, 3, 4, 1, 0) if a.ndim == 5 else a for k, a in arrays.items()}
    return {name: f"{masked_crc32c(a.tobytes()):08x}" for name, a in arrays.items()}


def name_of(protocol, ref):
    """Returns what a number from these weights is called."""
    return metric_name(get_protocol(protocol), ref.identity, ref.sha256)


@pytest.mark.slow
def test_three_layouts_give_equal_features(files, tmp_path):
    clips = torch.from_numpy(draws.video(3, 9, 20, 28))[None]
    features, refs = [], []
    for i, file in enumerate(files):
        installed = WeightStore(tmp_path / str(i)).import_weights("rgb_scratch", file)
        assert installed.name == "i3d-k400"
        extractor = I3DLogits.load(tmp_path / str(i))
        assert extractor.weights == installed.ref
        refs.append(installed)
        features.append(extractor(clips))
    assert torch.equal(features[0], features[1])
    assert torch.equal(features[0], features[2])
    assert features[0].std() > 0.1
    assert [ref.layout for ref in refs] == [
        "piergiaj (torch)",
        "stylegan-v (torchscript)",
        "deepmind (tensorflow)",
    ]
    assert {ref.identity for ref in refs} == {"other"}
    assert {ref.tensors_sha256 for ref in refs} == {tensors_sha256(i3d_state())}


def test_provenance_is_of_the_source_file(files, tmp_path):
    installed = WeightStore(tmp_path).import_weights("i3d-k400", files[2])
    data = files[2].with_name("model.ckpt.data-00000-of-00001")
    blob = subprocess.run(
        ["git", "hash-object", data], capture_output=True, text=True, check=True
    ).stdout.strip()
    (file,) = installed.files
    assert file.git_blob_sha1 == blob
    assert file.sha256 == hashlib.sha256(data.read_bytes()).hexdigest()
    assert (file.name, file.size) == (data.name, 50_818_176)
    assert json.loads((tmp_path / "i3d-k400.json").read_text()) == dataclasses.asdict(installed)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["i3d-k400.json", "i3d-k400.safetensors"]


def test_official_by_the_numbers_in_any_layout(files, tmp_path):
    for file in files:
        store = WeightStore(tmp_path, catalog_with(crc32c=checksums()))
        installed = store.import_weights("i3d-k400", file)
        assert (installed.identity, installed.matched) == (
            "official",
            "checksums of its tensors",
        )
        ref = store.load("rgb_scratch")[1]
        assert ref.identity == "official"
        assert name_of("fvd16", ref) == "FVD16"


def test_one_other_number_is_not_official(files, tmp_path):
    sums = checksums()
    sums["logits.conv3d.bias"] = f"{int(sums['logits.conv3d.bias'], 16) ^ 1:08x}"
    store = WeightStore(tmp_path, catalog_with(crc32c=sums))
    ref = store.import_weights("i3d-k400", files[0]).ref
    assert ref.identity == "other"
    assert name_of("fvd16", ref) == f"FD16[i3d:{tensors_sha256(i3d_state())[:8]}]"


@pytest.mark.parametrize(("official", "identity"), [(True, "official"), (False, "other")])
def test_known_files_are_recognised(files, tmp_path, official, identity):
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    known = KnownFile("a title", official, sha256_prefix=digest[:8])
    store = WeightStore(tmp_path, catalog_with(files=(known,)))
    installed = store.import_weights("i3d-k400", files[0])
    assert (installed.identity, installed.matched) == (identity, "file: a title")


def test_the_wrong_weights_are_named(files, tmp_path):
    catalog = dict(read_catalog())
    other = catalog["i3d-k400-imagenet"]
    catalog[other.name] = dataclasses.replace(other, crc32c=checksums())
    store = WeightStore(tmp_path, catalog)
    with pytest.raises(WeightsError) as caught:
        store.import_weights("i3d-k400", files[1])
    assert str(caught.value).splitlines() == [
        "this is rgb_imagenet (I3D RGB, Kinetics-400, pretrained on ImageNet: not the network of "
        "FVD), not i3d-k400 (I3D RGB, Kinetics-400, trained from scratch: the network of FVD)",
        "  to install it under its own name: vgbench weights import i3d-k400-imagenet FILE",
    ]
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())
    assert store.import_weights("rgb_imagenet", files[1]).name == "i3d-k400-imagenet"


def test_missing_weights_say_how_to_install_them(tmp_path):
    for name, example in (
        ("i3d-k400", "i3d_torchscript.pt"),
        ("inception-2015", "pt_inception-2015-12-05-6726825d.pth"),
    ):
        with pytest.raises(WeightsError) as caught:
            WeightStore(tmp_path / "absent").load(name)
        assert str(caught.value) == (
            f"weights '{name}' not found and offline; put the file anywhere and run\n"
            f"  vgbench weights import {name} /path/to/{example}\n"
            f"  or, with a connection: vgbench weights fetch {name}"
        )


def test_unknown_names_and_files(tmp_path):
    store = WeightStore(tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'i3d-k400'"):
        store.load("i3d-k40")
    with pytest.raises(WeightsError, match="neither a file of weights nor"):
        store.import_weights("i3d-k400", tmp_path / "absent.pt")


def test_installed_files_are_checked_when_loaded(files, tmp_path):
    store = WeightStore(tmp_path)
    store.import_weights("i3d-k400", files[0])
    path = tmp_path / "i3d-k400.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged: the tensors changed"):
        store.load("i3d-k400")
    path.write_bytes(content[:1000])
    with pytest.raises(WeightsError, match="damaged"):
        store.load("i3d-k400")
    path.with_suffix(".json").write_text('{"name": "x"}')
    with pytest.raises(WeightsError, match="damaged"):
        store.load("i3d-k400")


def test_list_shows_what_is_installed(files, tmp_path):
    store = WeightStore(tmp_path)
    assert {entry.name: got for entry, got in store.list_weights()} == {
        "i3d-k400": None,
        "i3d-k400-imagenet": None,
        "inception-2015": None,
        "resnext101-k400": None,
        "lpips-alex": None,
        "lpips-vgg": None,
        "arcface": None,
    }
    installed = store.import_weights("i3d-k400", files[0])
    assert {e.name: got for e, got in store.list_weights()}["i3d-k400"] == installed


def test_the_digest_of_tensors_sees_names_shapes_and_numbers():
    base = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    variants = [
        base,
        {"a": torch.zeros(3, 2), "b": torch.ones(1)},
        {"a": torch.zeros(2, 3), "c": torch.ones(1)},
        {"a": torch.zeros(2, 3), "b": -torch.ones(1)},
    ]
    assert len({tensors_sha256(v) for v in variants}) == 4
    assert tensors_sha256(dict(reversed(base.items()))) == tensors_sha256(base)


def test_the_catalog_is_complete():
    catalog = read_catalog()
    names = [n for e in catalog.values() for n in (e.name, *e.aliases)]
    assert len(names) == len(set(names))
    for entry in catalog.values():
        assert entry.title
        assert entry.licence
        assert any(file.official for file in entry.files)
        assert all(len(crc) == 8 and int(crc, 16) >= 0 for crc in entry.crc32c.values())
        assert entry.home.startswith("https://")
        assert all(len(f.git_blob_sha1) in (0, 40) for f in entry.files)
        assert all(f.page.startswith("https://") for f in entry.files)
        assert all(url.startswith("https://") for f in entry.files for url in f.download)
    assert find_entry(catalog, "rgb_scratch").name == "i3d-k400"


@pytest.fixture
def tiny(tmp_path):
    """A store of the tiny network and its file."""
    save_tiny(tmp_path / "tiny.pt")
    return WeightStore(tmp_path / "store", {"tiny": TINY}), tmp_path / "tiny.pt"


def test_verify_reads_everything_and_identifies_afresh(tiny):
    store, file = tiny
    with pytest.raises(WeightsError, match="'tiny' not found"):
        store.verify("tiny")
    installed = store.import_weights("tiny", file)
    assert store.verify("small") == installed
    known = KnownFile("the file", official=True, sha256_prefix=installed.files[0].sha256[:8])
    later = WeightStore(store.folder, {"tiny": dataclasses.replace(TINY, files=(known,))})
    assert later.verify("tiny").identity == "official"
    path = store.folder / "tiny.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(WeightsError, match="damaged: the tensors changed"):
        store.verify("tiny")


def test_convert_writes_our_names_and_installs_nothing(files, tmp_path):
    layout = convert("rgb_scratch", files[1:2], tmp_path / "new.safetensors")
    assert layout == "stylegan-v (torchscript)"
    tensors = load_file(tmp_path / "new.safetensors")
    assert tensors_sha256(tensors) == tensors_sha256(i3d_state())
    assert [p.name for p in tmp_path.iterdir()] == ["new.safetensors"]
    again = WeightStore(tmp_path / "store").import_weights("i3d-k400", tmp_path / "new.safetensors")
    assert again.layout == "piergiaj (safetensors)"


@pytest.mark.parametrize("target", ["there.safetensors", "new.pt", "absent/new.safetensors"])
def test_convert_refuses_other_targets(tiny, tmp_path, target):
    (tmp_path / "there.safetensors").write_bytes(b"precious")
    with pytest.raises(UsageError, match="expected the name of a new file"):
        convert("tiny", tiny[1:], tmp_path / target, {"tiny": TINY})
    assert (tmp_path / "there.safetensors").read_bytes() == b"precious"


def test_without_weights_a_number_is_never_called_fvd():
    ref = Jet.load().weights
    assert [name_of(protocol, ref) for protocol in ("hed16", "hfd16")] == ["hED16", "hFD16"]
