"""From `group=name key=value` words to a `RunConfig`; with `sweep`, the only user of Hydra.

Hydra is a library here: it parses overrides and merges groups. Names, keys and values are
checked against the registries and schemas first, so every mistake gets vgbench's own message in
a fraction of a second, before torch is imported.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from hydra import compose as hydra_compose
from hydra import initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vgbench.config.catalog import dataset_schema, dataset_values
from vgbench.config.options import did_you_mean, expected, no_such_option, options_of
from vgbench.config.schema import GROUPS, SCALARS, RunConfig, StageConfig
from vgbench.config.stages import check_stage, stages_config
from vgbench.errors import UsageError
from vgbench.registry import MODELS, nearest
from vgbench.types import DatasetConfig, ModelConfig, Stage, record, unknown_options

_BUDGET_GROUPS = ("model_budget", "dataset_budget")


@dataclass(frozen=True)
class Choices:
    """What the group words of a command line select."""

    model: str
    dataset: str
    budget: str
    model_class: type[ModelConfig]
    dataset_class: type[DatasetConfig]
    dataset_values: Mapping[str, Any]

    @property
    def schemas(self) -> dict[str, type[Any]]:
        """The options record of every group."""
        return {"model": self.model_class, "dataset": self.dataset_class, **GROUPS}

    def no_such_option(self, key: str) -> UsageError:
        """Returns the error for an option that its group does not have."""
        group = key.partition(".")[0]
        owner = {"model": self.model, "dataset": self.dataset}.get(group, "")
        return no_such_option(key, self.schemas[group], owner)


def compose(overrides: list[str], data_dir: Path, config_dir: Path | None = None) -> RunConfig:
    """Returns the run that `overrides` describe.

    Args:
        overrides: Words such as `model=g3an`, `dataset=shapes`, `budget=demo`, `model.lr=1e-4`.
        data_dir: Folder of prepared data sets; their names are data-set names.
        config_dir: A user's own folder of YAML groups, searched besides the built-in ones.

    Raises:
        UsageError: If a name, key or value is not accepted; says which and what would be.
        DataError: If the data set is known to nobody, thus not prepared.
    """
    parsed = parse(overrides)
    choices = _choose(parsed, data_dir)
    for override in parsed:
        _check_key(override, choices)
    chosen = {override.key_or_group for override in parsed}
    words = [*overrides, *_implied(choices, chosen)]
    values = _composed(words, choices, config_dir)
    init = values["model"].pop("init")
    groups = {name: _record(name, values[name], choices) for name in choices.schemas}
    stages = groups["model"].stages()
    for name, path in init.items():
        check_stage(f"model.init.{name}", choices.model, stages)
        if not path:
            raise UsageError(f"model.init.{name}=: expected an artefact, run folder or checkpoint")
    given = _without_budgeted(values["stages"], stages, chosen, choices)

    def own(stage: Stage) -> StageConfig:
        return _stage_config(stage, words, choices, config_dir)

    return RunConfig(
        model_name=choices.model,
        dataset_name=choices.dataset,
        stages=stages_config(choices.model, stages, given, own),
        init=init,
        **groups,
        **{key: values[key] for key in SCALARS},
    )


def _record(group: str, values: dict[str, Any], choices: Choices) -> Any:
    schema = choices.schemas[group]
    for option in unknown_options(schema, values):  # of a user's own YAML
        raise choices.no_such_option(f"{group}.{option}")
    return record(schema, values)


def _implied(choices: Choices, chosen: set[str]) -> list[str]:
    """Returns the groups that the data set and the budget stand for where none was named."""
    implied = [] if "budget" in chosen else [f"budget={choices.budget}"]
    if choices.budget == "demo" and "protocol" not in chosen:
        implied.append("protocol=demo")
    return implied


def _without_budgeted(
    given: Mapping[str, Any], stages: tuple[Stage, ...], chosen: set[str], choices: Choices
) -> dict[str, Any]:
    """Returns the options of stages without those that only a budget names and these lack."""
    budgets = choices.model_class.budgets.values()
    named = {name for budget in budgets for name in budget.get("stages", {})}
    named -= {key.split(".")[1] for key in chosen if key.startswith("stages.")}
    named -= {stage.name for stage in stages}
    return {name: options for name, options in given.items() if name not in named}


def _stage_config(
    stage: Stage, words: list[str], choices: Choices, config_dir: Path | None
) -> StageConfig:
    """Returns the budget and protocols that the stage's model has when it is run by itself."""
    alone = replace(choices, model=stage.model, model_class=MODELS.get(stage.model))
    groups = [word for word in words if word.split("=")[0] in ("dataset", "budget", "protocol")]
    values = _merged([f"model={stage.model}", *groups], alone, alone.model_class(), config_dir)
    return StageConfig(**values["budget"], protocols=tuple(values["protocol"]["names"]))


def parse(overrides: list[str]) -> list[Override]:
    """Returns the parsed overrides.

    Raises:
        UsageError: If a word is not of the form `key=value`, or asks for a sweep.
    """
    parsed = []
    for word in overrides:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException as error:
            raise UsageError(
                f"'{word}' is not understood; options are written key=value, e.g. model=g3an"
            ) from error
        if override.is_sweep_override():
            count = sum(1 for _ in override.sweep_string_iterator())
            raise UsageError(
                f"{word} is a sweep; add -m to run {count} jobs, or quote it to mean text"
            )
        if override.is_add() or override.is_delete() or override.is_force_add():
            raise UsageError(f"'{word}': options cannot be added or deleted; write key=value")
        parsed.append(override)
    return parsed


def _choose(parsed: list[Override], data_dir: Path) -> Choices:
    chosen = {o.key_or_group: str(o.value()) for o in parsed if "." not in o.key_or_group}
    for group, kind in (("model", "models"), ("dataset", "datasets")):
        if group not in chosen:
            raise UsageError(
                f"no {group} given; add {group}=NAME      (vgbench ls {kind})\n"
                "  e.g. vgbench run model=g3an dataset=shapes"
            )
    model_class = MODELS.get(chosen["model"])
    values = dataset_values(chosen["dataset"], data_dir)
    dataset_class = dataset_schema(chosen["dataset"])
    return Choices(
        model=chosen["model"],
        dataset=chosen["dataset"],
        budget=chosen.get("budget", dataset_class.budget),
        model_class=model_class,
        dataset_class=dataset_class,
        dataset_values=values,
    )


def _check_key(override: Override, choices: Choices) -> None:
    key = override.key_or_group
    group, _, option = key.partition(".")
    groups = [*choices.schemas, "stages"]
    if not option:
        if key in SCALARS:
            _check_scalar(override)
        if key in choices.schemas or key in SCALARS:
            return
        if key == "stages":
            raise UsageError("stages holds options of its own; set one of them, e.g. stages.seed=0")
        known = [*groups, *SCALARS]
        raise UsageError(
            f"{key}: no such group or option.{did_you_mean(nearest(key, known))}\n"
            f"  accepted: {', '.join(known)}      (vgbench config show)"
        )
    if group not in groups:
        raise UsageError(
            f"{key}: no group '{group}'.{did_you_mean(nearest(group, groups))}\n"
            f"  groups: {', '.join(groups)}"
        )
    if _is_of_stage(key) or key == "model.preset":
        return  # checked once the model's options are known
    if option not in options_of(choices.schemas[group]):
        raise choices.no_such_option(key)


def _is_of_stage(key: str) -> bool:
    return key.startswith(("stages.", "model.init."))


def _check_scalar(override: Override) -> None:
    key = override.key_or_group
    # Not isinstance: True is an int, too.
    if type(override.value()) is not type(SCALARS[key]):
        kind = expected(key, type(SCALARS[key]), SCALARS[key])
        raise UsageError(f"{override.input_line}: {kind}")


def _composed(words: list[str], choices: Choices, config_dir: Path | None) -> dict[str, Any]:
    """Returns the values of all groups; those of the model without its preset's name."""
    said = [word for word in words if word.startswith("model.preset=")]
    name = said[-1].partition("=")[2] if said else ""
    values = _merged(words, choices, _preset(name, choices), config_dir)
    named = values["model"].pop("preset")
    if named != name:  # by a budget, over whose preset all is merged again
        values = _merged(words, choices, _preset(named, choices), config_dir)
        del values["model"]["preset"]
    return values


def _preset(name: str, choices: Choices) -> ModelConfig:
    """Returns the model's options as the preset has them."""
    schema = choices.model_class
    if name in ("", "default"):
        return schema()
    if name not in schema.presets:
        known = ["default", *(known for known in schema.presets if known != "default")]
        raise UsageError(
            f"model.preset={name}: '{choices.model}' has no such preset."
            f"{did_you_mean(nearest(name, known))}\n  accepted: {', '.join(known)}"
        )
    return record(schema, _deep(asdict(schema()), schema.presets[name]))


def _deep(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested mappings merged, later ones winning."""
    merged: dict[str, Any] = {}
    for key, value in ((key, value) for layer in layers for key, value in layer.items()):
        nested = isinstance(value, Mapping)
        merged[key] = _deep(merged.get(key, {}), value) if nested else value
    return merged


def _thawed(values: Any, *more: Any) -> Any:
    """Returns a mutable twin of a frozen record's class, whose defaults are the record's values.

    OmegaConf makes a frozen record's node read-only, so that overrides could not be merged.
    """
    kinds = get_type_hints(type(values))
    columns: list[Any] = []
    for option in fields(values):
        kind, value = kinds[option.name], getattr(values, option.name)
        if is_dataclass(kind):
            twin = _thawed(value)
            columns.append((option.name, twin, field(default_factory=twin)))
        else:
            columns.append((option.name, kind, _default(value)))
    return make_dataclass(type(values).__name__, [*columns, *more])


def _default(value: Any) -> Any:
    if isinstance(value, (list, tuple, dict)):
        return field(default_factory=lambda: type(value)(value))
    return field(default=value)


def _merged(
    words: list[str], choices: Choices, model: ModelConfig, config_dir: Path | None
) -> dict[str, Any]:
    _store(choices, model)
    # Options of stages are not in any schema: `++` adds them.
    given = [f"++{word}" if _is_of_stage(word) else word for word in words]
    search = [f"hydra.searchpath=[file://{config_dir.resolve()}]"] if config_dir else []
    try:
        with _hydra():
            config = hydra_compose("run", overrides=[*given, *search])
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, words, choices) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{mark.name}, line {mark.line + 1}" if mark else str(config_dir)
        raise UsageError(f"{where}: not YAML: {error.problem}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@contextmanager
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize(config_path="conf", version_base="1.3"):
        yield


def _store(choices: Choices, model: ModelConfig) -> None:
    store = ConfigStore.instance()
    # Hydra merges what the budgets of the model and of the data set change over their groups.
    chosen: dict[str, type[ModelConfig] | type[DatasetConfig]] = {
        "model_budget": choices.model_class,
        "dataset_budget": choices.dataset_class,
    }
    for group, schema in chosen.items():
        for budget in {"demo", "short", "paper", *schema.budgets}:
            node = dict(schema.budgets.get(budget, {}))
            store.store(group=group, name=budget, node=node, package="_global_")
    more = [
        ("preset", str, field(default="")),
        ("init", dict[str, str], field(default_factory=dict)),
    ]
    store.store(group="model", name=choices.model, node=_thawed(model, *more))
    dataset = record(choices.dataset_class, choices.dataset_values)
    store.store(group="dataset", name=choices.dataset, node=_thawed(dataset))
    for group, options in GROUPS.items():
        node = _thawed(options())
        store.store(group=f"{group}_schema", name="base", node=node, package=group)
    defaults: list[Any] = [
        *({f"{group}_schema": "base"} for group in GROUPS),
        {"budget": "short"},
        {"trainer": "default"},
        {"logger": "csv"},
        {"protocol": "auto"},
        {"model": "???"},
        {"dataset": "???"},
        *({f"optional {group}": "${budget}"} for group in _BUDGET_GROUPS),
        "_self_",
    ]
    store.store(name="run", node={"defaults": defaults, "stages": {}, **SCALARS})


def _explain(error: Exception, words: list[str], choices: Choices) -> UsageError:
    text = f"{error}\n{error.__cause__ or ''}"
    missing = re.search(r"Could not find '(\w+)/([^']+)'", text)
    if missing:
        group, name = missing.groups()
        known = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
        return UsageError(
            f"unknown {group} '{name}'.{did_you_mean(nearest(name, known))}\n"
            f"  accepted: {', '.join(known)}"
        )
    found = re.search(r"full_key: (\S+)", text)
    if not found:
        return UsageError(text.splitlines()[0])
    key = re.sub(r"\[\d+\]$", "", found.group(1))
    # The last of several words for one option is the one in force.
    word = next((w for w in reversed(words) if w.startswith(f"{key}=")), key)
    if key in SCALARS:
        return UsageError(f"{word}: {expected(key, type(SCALARS[key]), SCALARS[key])}")
    group, _, name = key.partition(".")
    if group not in choices.schemas:
        return UsageError(text.splitlines()[0])
    if name not in options_of(choices.schemas[group]):
        return choices.no_such_option(key)  # of a user's own YAML
    option = options_of(choices.schemas[group])[name]
    return UsageError(f"{word}: {expected(key, option.kind, option.default)}")
