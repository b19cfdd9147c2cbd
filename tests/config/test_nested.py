"""Nested options, presets and options of stages: precedence, and a message for every mistake."""

import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.staged.config import ColouredConfig, registered
from vgbench.config.compose import _deep as deep
from vgbench.config.compose import compose
from vgbench.config.schema import StagesConfig
from vgbench.config.store import differences, from_yaml, resumed, to_plain, to_yaml
from vgbench.errors import UsageError
from vgbench.models.g3an.config import G3ANConfig
from vgbench.registry import MODELS
from vgbench.types import record, unknown_options

RUN = ["model=coloured", "dataset=shapes"]
DEMO = G3ANConfig.budgets["demo"]["budget"]


@pytest.fixture(autouse=True, scope="module")
def _registered():
    with registered():
        yield


def composed(tmp_path, *words):
    return compose([*RUN, *words], tmp_path)


def test_a_nested_option_is_set_like_any_other(tmp_path):
    model = composed(tmp_path, "model.colour.strength=0.25", "model.channels=3").model
    assert (model.colour.strength, model.colour.width, model.channels) == (0.25, 3, 3)
    assert isinstance(model, ColouredConfig)


def test_presets_yield_to_budgets_and_these_to_words(tmp_path):
    def values(*words):
        model = composed(tmp_path, "model.layers=0", *words).model
        return model.lr, model.colour.width, model.colour.strength

    assert values() == (2e-3, 3, 0.5)  # lr is the budget's
    assert values("model.preset=default") == (2e-3, 3, 0.5)
    assert values("model.preset=wide", "model.colour.width=5") == (2e-3, 5, 0.5)
    assert values("model.preset=wide", "budget=paper") == (5e-4, 8, 0.5)


def test_a_budget_may_name_a_preset(tmp_path):
    model = composed(tmp_path, "model.layers=0", "budget=short").model
    assert (model.lr, model.colour.strength) == (3e-3, 1.0)
    model = composed(tmp_path, "model.layers=0", "budget=short", "model.preset=wide").model
    assert (model.lr, model.colour.strength, model.colour.width) == (3e-3, 0.5, 8)


def test_a_stage_has_the_budget_of_its_own_model(tmp_path):
    config = composed(tmp_path, "model.layers=2")
    assert list(config.stages.of) == ["base", "tint"]
    base = config.stages.of["base"]
    assert (base.name, base.kclips, base.batch_size) == ("demo", DEMO["kclips"], DEMO["batch_size"])
    assert base.protocols == ("hed16/demo@2", "hfd16/demo@2")
    assert (config.stages.of["tint"].kclips, config.stages.of["tint"].batch_size) == (0.016, 4)
    assert composed(tmp_path, "budget=paper").stages.of["base"].batch_size == 96
    # the budget of the declaring model may say otherwise, and the user's words win
    assert composed(tmp_path, "budget=short").stages.of["base"].kclips == 5.0
    words = ["budget=short", "stages.base.kclips=7", "stages.base.batch_size=2", "stages.seed=4"]
    config = composed(tmp_path, *words)
    assert (config.stages.of["base"].kclips, config.stages.of["base"].batch_size) == (7.0, 2)
    assert (config.stages.seed, config.seed) == (4, 0)


def test_what_every_method_declares_is_known():
    for name, schema in MODELS.load_all().items():
        for preset, values in schema.presets.items():
            assert unknown_options(schema, values) == [], (name, preset)
            assert isinstance(record(schema, deep(asdict(schema()), values)), schema)
        for budget, groups in schema.budgets.items():
            model = dict(groups.get("model", {}))
            assert model.pop("preset", "default") in {"default", *schema.presets}, (name, budget)
            assert unknown_options(schema, model) == [], (name, budget)
        before = set()
        for stage in schema().stages():
            assert type(stage.config) is MODELS.get(stage.model), (name, stage.name)
            assert {inner.name for inner in stage.config.stages()} <= before, (name, stage.name)
            before.add(stage.name)


def test_a_model_without_stages_has_none(tmp_path):
    assert compose(["model=g3an", "dataset=shapes"], tmp_path).stages == StagesConfig()
    assert composed(tmp_path, "model.layers=0").stages == StagesConfig()


def test_yaml_round_trip(tmp_path):
    words = ["model.layers=2", "model.init.base=runs/a", "stages.tint.kclips=1", "stages.seed=2"]
    config = composed(tmp_path, *words, "model.preset=wide")
    assert config.init == {"base": "runs/a"}
    assert from_yaml(to_yaml(config)) == config
    plain = to_plain(config)
    assert plain["model"]["init"] == {"base": "runs/a"}
    assert plain["model"]["colour"] == {"width": 8, "strength": 0.5}
    assert plain["stages"]["tint"]["kclips"] == 1.0


def test_differences_and_resuming_know_nested_options(tmp_path):
    saved = composed(tmp_path)
    words = ["model.colour.width=5", "model.init.base=x", "stages.base.kclips=1"]
    other = composed(tmp_path, *words)
    assert differences(saved, other) == {
        "model.colour.width": (3, 5),
        "model.init.base": (None, "x"),
        "stages.base.kclips": (DEMO["kclips"], 1.0),
    }
    with pytest.raises(UsageError) as caught:
        resumed(saved, other)
    assert "\n  model.colour.width: 3 -> 5\n" in str(caught.value)


MESSAGES = {
    "model.colour.widht=3": (
        "model.colour.widht: 'coloured' has no such option. Did you mean model.colour.width "
        "(default 3)?\n  see: vgbench config options model=coloured"
    ),
    "model.strength=1": (
        "model.strength: 'coloured' has no such option. Did you mean model.colour.strength "
        "(default 0.5)?\n  see: vgbench config options model=coloured"
    ),
    "model.colour.width=1.5": (
        "model.colour.width=1.5: expected an integer, e.g. model.colour.width=3"
    ),
    "model.colour=3": (
        "model.colour holds options of its own; set one of them, e.g. model.colour.width=3"
    ),
    "model.channels.x=3": (
        "model.channels.x: 'coloured' has no such option. Did you mean model.channels "
        "(default 2)?\n  see: vgbench config options model=coloured"
    ),
    "model.preset=wdie": (
        "model.preset=wdie: 'coloured' has no such preset. Did you mean wide?\n"
        "  accepted: default, wide, strong"
    ),
    "model.init.bsae=x": (
        "model.init.bsae: 'coloured' has no stage 'bsae'. Did you mean model.init.base?\n"
        "  stages: base"
    ),
    "model.init.base=": "model.init.base=: expected an artefact, run folder or checkpoint",
    "stages.bsae.kclips=1": (
        "stages.bsae: 'coloured' has no stage 'bsae'. Did you mean stages.base?\n  stages: base"
    ),
    "stages.base.kclisp=1": (
        "stages.base.kclisp: a stage has no such option. Did you mean stages.base.kclips?\n"
        "  accepted: kclips, batch_size"
    ),
    "stages.base.kclips=long": (
        f"stages.base.kclips=long: expected a float, e.g. stages.base.kclips={DEMO['kclips']:g}"
    ),
    "stages.base.batch_size=1.5": (
        "stages.base.batch_size=1.5: expected an integer, e.g. "
        f"stages.base.batch_size={DEMO['batch_size']}"
    ),
    "stages.base.kclips=0": "stages.base.kclips=0: expected a positive number",
    "stages.seed=x": "stages.seed=x: expected an integer, e.g. stages.seed=0",
    "stages.sede=1": (
        "stages.sede: no such option. Did you mean stages.seed?\n"
        "  accepted: stages.seed, stages.NAME.kclips, stages.NAME.batch_size"
    ),
    "stages=3": ("stages holds options of its own; set one of them, e.g. stages.seed=0"),
    "stagse.seed=1": (
        "stagse.seed: no group 'stagse'. Did you mean stages?\n"
        "  groups: model, dataset, budget, trainer, logger, protocol, stages"
    ),
}


@pytest.mark.parametrize("word", MESSAGES)
def test_every_mistake_has_its_message(word, tmp_path):
    with pytest.raises(UsageError) as caught:
        composed(tmp_path, word)
    assert str(caught.value) == MESSAGES[word]
    assert caught.value.exit_code == 2


def test_a_model_without_stages_takes_no_options_of_them(tmp_path):
    for word in ("stages.image.kclips=1", "model.init.image=x"):
        with pytest.raises(UsageError) as caught:
            compose(["model=g3an", "dataset=shapes", word], tmp_path)
        key = word.split("=")[0].removesuffix(".kclips")
        assert str(caught.value) == f"{key}: 'g3an' with these options has no stages"


def test_a_wrong_option_in_a_users_own_file(tmp_path):
    for group, text in (("budget", "name: mine\n"), ("model_budget", "")):
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text(text)
    file = tmp_path / "model_budget" / "mine.yaml"
    file.write_text("# @package _global_\nmodel: {colour: {widht: 3}}\n")
    with pytest.raises(UsageError, match=r"^model.colour.widht: 'coloured' has no such option"):
        compose([*RUN, "budget=mine"], tmp_path, config_dir=tmp_path)
    file.write_text("# @package _global_\nmodel: {preset: wide}\nstages: {base: {kclips: 2}}\n")
    config = compose([*RUN, "budget=mine"], tmp_path, config_dir=tmp_path)
    assert (config.model.colour.width, config.stages.of["base"].kclips) == (8, 2.0)


@pytest.mark.parametrize(
    "word", ["model.colour.widht=3", "model.preset=no", "stages.bsae.kclips=1"]
)
def test_mistakes_are_answered_without_torch(word):
    code = (
        "import sys\n"
        "from tests.staged.config import registered\n"
        "from vgbench.cli.main import main\n"
        "try:\n"
        f"    with registered():\n        main(['run', *{RUN}, '{word}'])\n"
        "except SystemExit as stop:\n    print(stop.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
