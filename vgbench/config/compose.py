"""From `group=name key=value` words to a `RunConfig`; with `sweep`, the only user of Hydra.

Hydra is a library here: it parses overrides and merges groups. Names, keys and values are
checked against the registries and schemas first, so every mistake gets vgbench's own message in
a fraction of a second, before torch is imported.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, make_dataclass
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
from vgbench.config.schema import GROUPS, SCALARS, RunConfig
from vgbench.errors import UsageError
from vgbench.registry import MODELS, nearest
from vgbench.types import DatasetConfig, ModelConfig

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
    schemas = _schemas(choices)
    for override in parsed:
        _check_key(override, schemas, choices)
    implied = (
        [] if any(o.key_or_group == "budget" for o in parsed) else [f"budget={choices.budget}"]
    )
    if choices.budget == "demo" and not any(o.key_or_group == "protocol" for o in parsed):
        implied.append("protocol=demo")
    values = _compose_values([*overrides, *implied], choices, schemas, config_dir)
    return _build(values, choices)


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


def _schemas(choices: Choices) -> dict[str, type[Any]]:
    return {"model": choices.model_class, "dataset": choices.dataset_class, **GROUPS}


def _check_key(override: Override, schemas: dict[str, type[Any]], choices: Choices) -> None:
    key = override.key_or_group
    group, _, option = key.partition(".")
    if not option:
        if key in SCALARS:
            _check_scalar(override)
        if key in schemas or key in SCALARS:
            return
        known = [*schemas, *SCALARS]
        raise UsageError(
            f"{key}: no such group or option.{_did_you_mean(nearest(key, known))}\n"
            f"  accepted: {', '.join(known)}      (vgbench config show)"
        )
    if group not in schemas:
        raise UsageError(
            f"{key}: no group '{group}'.{_did_you_mean(nearest(group, schemas))}\n"
            f"  groups: {', '.join(schemas)}"
        )
    if option not in {f.name for f in fields(schemas[group])}:
        raise _no_such_option(key, schemas, choices)


def _no_such_option(key: str, schemas: dict[str, type[Any]], choices: Choices) -> UsageError:
    group, _, option = key.partition(".")
    options = {f.name: f for f in fields(schemas[group])}
    owner = {"model": choices.model, "dataset": choices.dataset}.get(group, group)
    guesses = [
        f"{group}.{name} (default {format_value(default_of(options[name]))})"
        for name in nearest(option, options, n=1)
    ]
    hint = _did_you_mean(guesses)
    where = f"{group}={owner}" if group in ("model", "dataset") else group
    return UsageError(
        f"{key}: '{owner}' has no such option.{hint}\n  see: vgbench config options {where}"
    )


def _check_scalar(override: Override) -> None:
    key = override.key_or_group
    # Not isinstance: True is an int, too.
    if type(override.value()) is not type(SCALARS[key]):
        raise UsageError(f"{override.input_line}: expected {_expected(key, {})}")


def _did_you_mean(guesses: list[str]) -> str:
    return f" Did you mean {guesses[0]}?" if guesses else ""


def default_of(option: dataclasses.Field[Any]) -> Any:
    """Returns the default of a dataclass field, or None if it has none."""
    if option.default is not MISSING:
        return option.default
    return option.default_factory() if option.default_factory is not MISSING else None


def format_value(value: Any) -> str:
    """Returns a value as it is typed on the command line."""
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(format_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.6e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _thawed(schema: type[Any], values: Mapping[str, Any]) -> Any:
    """Returns a mutable twin of a frozen record, with other defaults.

    OmegaConf makes a frozen record's node read-only, so that overrides could not be merged.
    """
    hints = get_type_hints(schema)
    columns: list[Any] = []
    for option in fields(schema):
        default = values.get(option.name, default_of(option))
        columns.append((option.name, hints[option.name], _field(default)))
    return make_dataclass(schema.__name__, columns)


def _field(default: Any) -> Any:
    if isinstance(default, (list, tuple, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default))
    return dataclasses.field(default=default)


def _compose_values(
    overrides: list[str],
    choices: Choices,
    schemas: dict[str, type[Any]],
    config_dir: Path | None,
) -> dict[str, Any]:
    _store(choices, schemas)
    search = [f"hydra.searchpath=[file://{config_dir.resolve()}]"] if config_dir else []
    try:
        with _hydra():
            config = hydra_compose("run", overrides=[*overrides, *search])
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, overrides, schemas, choices) from error
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


def _store(choices: Choices, schemas: dict[str, type[Any]]) -> None:
    store = ConfigStore.instance()
    # Hydra merges what the budgets of the model and of the data set change over their groups.
    chosen: dict[str, type[ModelConfig] | type[DatasetConfig]] = {
        "model_budget": choices.model_class,
        "dataset_budget": choices.dataset_class,
    }
    for group, schema in chosen.items():
        for budget, node in schema.budgets.items():
            store.store(group=group, name=budget, node=dict(node), package="_global_")
    for budget in ("demo", "short", "paper"):
        for group, schema in chosen.items():
            if budget not in schema.budgets:
                store.store(group=group, name=budget, node={}, package="_global_")
    store.store(group="model", name=choices.model, node=_thawed(choices.model_class, {}))
    values = choices.dataset_values
    store.store(group="dataset", name=choices.dataset, node=_thawed(choices.dataset_class, values))
    for group, schema in GROUPS.items():
        store.store(group=f"{group}_schema", name="base", node=_thawed(schema, {}), package=group)
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
    store.store(name="run", node={"defaults": defaults, **SCALARS})


def _explain(
    error: Exception, overrides: list[str], schemas: dict[str, type[Any]], choices: Choices
) -> UsageError:
    text = f"{error}\n{error.__cause__ or ''}"
    missing = re.search(r"Could not find '(\w+)/([^']+)'", text)
    if missing:
        group, name = missing.groups()
        options = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
        return UsageError(
            f"unknown {group} '{name}'.{_did_you_mean(nearest(name, options))}\n"
            f"  accepted: {', '.join(options)}"
        )
    found = re.search(r"full_key: (\S+)", text)
    if found:
        key = re.sub(r"\[\d+\]$", "", found.group(1))
        group, _, option = key.partition(".")
        if group in schemas and option not in {f.name for f in fields(schemas[group])}:
            return _no_such_option(key, schemas, choices)  # of a user's own YAML
        # The last of several words for one option is the one in force.
        word = next((w for w in reversed(overrides) if w.startswith(f"{key}=")), key)
        return UsageError(f"{word}: expected {_expected(key, schemas)}")
    return UsageError(text.splitlines()[0])


def _expected(key: str, schemas: dict[str, type[Any]]) -> str:
    group, _, option = key.partition(".")
    if group in SCALARS:
        return f"{_type_words(type(SCALARS[group]))}, e.g. {key}={format_value(SCALARS[group])}"
    schema = schemas[group]
    kind = get_type_hints(schema)[option]
    default = next(default_of(f) for f in fields(schema) if f.name == option)
    return f"{_type_words(kind)}, e.g. {key}={format_value(default)}"


def _type_words(kind: Any) -> str:
    names = {
        int: "an integer",
        float: "a float",
        bool: "true or false",
        str: "text",
        tuple[int, ...]: "a list of integers",
        tuple[str, ...]: "a list of words",
        tuple[float, ...]: "a list of floats",
    }
    return names.get(kind, str(kind))


def _build(values: dict[str, Any], choices: Choices) -> RunConfig:
    groups = {name: record(schema, values[name]) for name, schema in _schemas(choices).items()}
    scalars = {key: values[key] for key in SCALARS}
    return RunConfig(model_name=choices.model, dataset_name=choices.dataset, **groups, **scalars)


def record(schema: type[Any], values: Mapping[str, Any]) -> Any:
    """Returns the frozen record of `schema` with `values`; lists become tuples.

    Raises:
        UsageError: If the record refuses a value, or a key is not one of its fields.
    """
    known = {f.name for f in fields(schema)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(f"{schema.__name__} has no option {', '.join(unknown)}")
    return schema(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
