"""StyleVideoGAN on an image GAN: three trainings in one run, finished stages and latents shared."""

import json

import pytest
import torch

from tests.training.test_fit import states_equal
from vgbench.config.compose import compose
from vgbench.errors import CheckpointError
from vgbench.models.checkpoint import build_model, load_model, read_checkpoint
from vgbench.models.image_stage import same_weights
from vgbench.nn.noise import seeded_generator
from vgbench.training.fit import Listener
from vgbench.training.run_folder import RunFolder
from vgbench.training.stages import run

NARROW = [
    "model=stylevideogan",
    "budget=demo",
    "dataset=shapes",
    "dataset.videos=8",
    "dataset.frames=6",
    "dataset.resolution=16",
    "model.z_dim=8",
    "model.w_dim=8",
    "model.channel_base=64",
    "model.channel_max=4",
    "model.encoder.base_width=16",
    "model.generator.z_dim=4",
    "model.generator.memory_widths=[8]",
    "model.generator.trunk_widths=[8]",
    "model.critic.embed_widths=[8]",
    "model.critic.conv_channels=[8,8]",
    "model.training.frames=5",
    "model.report_kclips=0",
    "stages.image.kclips=0.016",
    "stages.inversion.kclips=0.008",
    "stages.image.batch_size=4",
    "stages.inversion.batch_size=4",
    "budget.batch_size=4",
    "budget.kclips=0.008",
    "budget.sample_kclips=1",
    "trainer.accelerator=cpu",
]


def trained(tmp_path, name, *words, resume=False):
    told = []
    folder = RunFolder(tmp_path / name)
    words = [*NARROW, *words]
    config = compose(words, tmp_path / "data")
    run(config, folder, words, Listener(message=told.append), tmp_path / "artefacts", resume)
    return folder, told


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run through all stages, with what it told, and the folder that it is in."""
    path = tmp_path_factory.mktemp("runs")
    folder, told = trained(path, "first")
    return path, folder, told


def test_all_stages_run_and_the_model_starts_from_them(finished):
    _path, folder, told = finished
    assert [line.split(":")[0] for line in told if line.startswith("stage")] == [
        "stage 1/3 image",
        "stage 1/3 image",
        "stage 2/3 inversion",
        "stage 2/3 inversion",
        "stage 3/3 stylevideogan",
    ]
    model = load_model(folder.path)
    image = load_model(folder.path / "stages/01-image")
    inversion = load_model(folder.path / "stages/02-inversion")
    assert same_weights(model.backend.generator, image.sampler)
    assert same_weights(model.backend.encoder, inversion.generator.encoder)
    assert model.generator.scale.std.min() > 0
    assert model.sample(1, 30, seeded_generator(0, "eval")).shape == (1, 3, 30, 16, 16)


def test_another_run_trains_nothing_but_the_motion(finished):
    path, _, _ = finished
    folder, told = trained(path, "second", "seed=1", "model.training.angle_weight=0")
    assert not any(line.startswith(("stage 1", "stage 2", "encod")) for line in told)
    stages = json.loads((folder.path / "stages.json").read_text())
    assert [stages[name]["artefact"].split("-shapes")[0] for name in stages] == [
        "stylegan2-frames",
        "inversion",
    ]
    assert len(list((path / "artefacts").glob("latents-*"))) == 1


@pytest.mark.slow
def test_a_resumed_run_needs_no_artefact_of_a_stage(finished):
    path, _, _ = finished
    whole, _ = trained(path, "whole", "budget.kclips=0.016")
    trained(path, "parts", "budget.kclips=0.008")
    for artefact in (path / "artefacts").glob("[is]*"):
        artefact.rename(path / artefact.name)
    try:
        parts, _ = trained(path, "parts", "budget.kclips=0.016", resume=True)
    finally:
        for artefact in path.glob("*-shapes-*"):
            artefact.rename(path / "artefacts" / artefact.name)
    a, b = read_checkpoint(whole.last), read_checkpoint(parts.last)
    assert states_equal(a["state_dict"], b["state_dict"])
    assert states_equal(a["optimizer_states"], b["optimizer_states"])


def test_the_image_stage_is_that_of_styleinv(tmp_path):
    words = ["dataset=shapes", "budget=demo"]
    ours, theirs = (
        compose([f"model={name}", *words], tmp_path) for name in ("stylevideogan", "styleinv")
    )
    assert ours.model.stages()[0] == theirs.model.stages()[0]
    assert ours.stages.of["image"] == theirs.stages.of["image"]
    assert ours.model.stages()[1].config.encoder.latent_space == "wplus"


def test_an_inversion_of_another_image_gan_is_refused(finished):
    path, folder, _ = finished
    config = compose(NARROW, path / "data").model
    spec = load_model(folder.path).spec
    model = build_model(config, spec, seed=0)
    stages = enumerate(config.stages())
    image, inversion = (build_model(stage.config, spec, seed=i) for i, stage in stages)
    model.start_from("image", image.export())
    with pytest.raises(CheckpointError, match="another image GAN"):
        model.start_from("inversion", inversion.export())
    with pytest.raises(CheckpointError, match="takes no weights of a stage 'motion'"):
        model.start_from("motion", {})


def test_photographs_move_in_other_styles(finished):
    _, folder, _ = finished
    model, image = load_model(folder.path), load_model(folder.path / "stages/01-image").sampler
    photos = torch.rand(2, 3, 16, 16, generator=seeded_generator(0, "photos")) * 2 - 1
    generators = [seeded_generator(0, "eval", i) for i in range(2)]
    own, same = model.animate(photos, 7, generators, [image])
    assert own.shape == (2, 3, 7, 16, 16)
    assert torch.equal(own, same)
    torch.nn.init.normal_(image.synthesis.b4.const)
    sample = model.sample(1, 3, seeded_generator(0, "eval"))
    model.restyle(image)
    assert not torch.equal(model.sample(1, 3, seeded_generator(0, "eval")), sample)
    assert not any(key.startswith("_style") for key in model.state_dict())
    model.restyle(None)
    assert torch.equal(model.sample(1, 3, seeded_generator(0, "eval")), sample)
    torch.nn.init.normal_(image.mapping.fc0.weight)
    with pytest.raises(CheckpointError, match="not finetuned from this model's image GAN"):
        model.restyle(image)
