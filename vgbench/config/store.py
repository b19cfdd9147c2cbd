"""A run's options as YAML, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml

from vgbench.config.catalog import dataset_schema
from vgbench.config.schema import GROUPS, SCALARS, RunConfig, StageConfig, StagesConfig
from vgbench.errors import UsageError
from vgbench.registry import MODELS
from vgbench.types import record

# What may change when a run is resumed: nothing that decides the numbers.
_MAY_CHANGE = ("trainer", "logger", "protocol")
_MAY_CHANGE_OPTIONS = ("budget.kclips", "budget.checkpoint_kclips", "budget.sample_kclips")


def to_plain(config: RunConfig) -> dict[str, Any]:
    """Returns the resolved options of a run, nested as the words that set them."""
    values: dict[str, Any] = _plain(asdict(config))
    stages, init = values.pop("stages"), values.pop("init")
    if init:
        values["model"]["init"] = init
    if config.stages != StagesConfig():
        values["stages"] = {"seed": stages["seed"], **stages["of"]}
    return values


def to_yaml(config: RunConfig) -> str:
    """Returns `to_plain` as YAML."""
    text: str = yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)
    return text


def from_yaml(text: str) -> RunConfig:
    """Returns the run that `to_yaml` wrote.

    Raises:
        UsageError: If this version knows other options.
        UnknownNameError: If the model is not installed.
    """
    values = yaml.safe_load(text)
    init, stages = values["model"].pop("init", {}), values.get("stages", {})
    schemas = {
        "model": MODELS.get(values["model_name"]),
        "dataset": dataset_schema(values["dataset_name"]),
        **GROUPS,
    }
    of = {name: record(StageConfig, one) for name, one in stages.items() if name != "seed"}
    return RunConfig(
        **{key: values[key] for key in ("model_name", "dataset_name", *SCALARS)},
        **{name: record(schema, values[name]) for name, schema in schemas.items()},
        stages=StagesConfig(stages.get("seed", 0), of),
        init=init,
    )


def resumed(saved: RunConfig, composed: RunConfig) -> RunConfig:
    """Returns the saved run with the changes of `composed` that resuming allows.

    Args:
        saved: The run as it was started.
        composed: The run as it would be started now, with the old and the new overrides.

    Raises:
        UsageError: If anything else differs; lists every difference.
    """
    data = ("dataset", "dataset_name", "seed") if composed.trainer.allow_data_change else ()
    may_change = (*_MAY_CHANGE, *data)
    refused = [
        f"  {key}: {old} -> {new}"
        for key, (old, new) in differences(saved, composed).items()
        if key.split(".")[0] not in may_change and key not in _MAY_CHANGE_OPTIONS
    ]
    if refused:
        accepted = ", ".join([*(f"{group}.*" for group in _MAY_CHANGE), *_MAY_CHANGE_OPTIONS])
        raise UsageError(
            "these options cannot change when a run is resumed:\n"
            + "\n".join(refused[:3])
            + f"\n  accepted: {accepted}"
        )
    return composed


def differences(a: RunConfig, b: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Returns the options in which two runs differ, as `group.option: (value, value)`."""
    old, new = _flat(to_plain(a)), _flat(to_plain(b))
    keys = [*old, *(key for key in new if key not in old)]
    return {k: (old.get(k), new.get(k)) for k in keys if old.get(k) != new.get(k)}


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": item for inner, item in _flat(value).items()}
        else:
            flat[key] = value
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
