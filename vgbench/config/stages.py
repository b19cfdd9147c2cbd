"""Options of stages: `stages.image.kclips=9`, `stages.seed=1`, `model.init.image=PATH`.

Which stages there are follows from the options of the model, so they are checked once these are
known.
"""

from collections.abc import Callable, Mapping
from typing import Any

from vgbench.config.options import did_you_mean, expected, format_value
from vgbench.config.schema import StageConfig, StagesConfig
from vgbench.errors import UsageError
from vgbench.registry import nearest
from vgbench.types import Stage

# What may be set of one stage; the rest is the budget of its own model.
_OPTIONS: dict[str, Any] = {"kclips": float, "batch_size": int}


def stages_config(
    model: str,
    stages: tuple[Stage, ...],
    given: Mapping[str, Any],
    own: Callable[[Stage], StageConfig],
) -> StagesConfig:
    """Returns how each stage is trained.

    Args:
        model: Name of the model that declares the stages.
        stages: The stages.
        given: What was set: `seed`, and per stage some of its options.
        own: Returns what the budget of a stage's own model says.

    Raises:
        UsageError: If a name or value is not accepted.
    """
    for name, value in given.items():
        if name != "seed":
            _check(f"stages.{name}", value)
            check_stage(f"stages.{name}", model, stages)
    seed = given.get("seed", 0)
    if type(seed) is not int:
        raise UsageError(f"stages.seed={format_value(seed)}: {expected('stages.seed', int, 0)}")
    return StagesConfig(
        seed, {stage.name: _merged(stage.name, own(stage), given) for stage in stages}
    )


def check_stage(key: str, model: str, stages: tuple[Stage, ...]) -> None:
    """Checks that the last word of `key`, e.g. `model.init.image`, names a stage of the model.

    Raises:
        UsageError: If it does not; names those that there are.
    """
    prefix, _, name = key.rpartition(".")
    known = [stage.name for stage in stages]
    if name in known:
        return
    if not known:
        raise UsageError(f"{key}: '{model}' with these options has no stages")
    guesses = [f"{prefix}.{guess}" for guess in nearest(name, known, n=1)]
    raise UsageError(
        f"{key}: '{model}' has no stage '{name}'.{did_you_mean(guesses)}\n"
        f"  stages: {', '.join(known)}"
    )


def _check(key: str, values: Any) -> None:
    """Checks the names of the options set of one stage."""
    if not isinstance(values, Mapping):
        guesses = nearest(key, ["stages.seed"])
        accepted = ", ".join(["stages.seed", *(f"stages.NAME.{option}" for option in _OPTIONS)])
        raise UsageError(f"{key}: no such option.{did_you_mean(guesses)}\n  accepted: {accepted}")
    for name in values:
        if name not in _OPTIONS:
            guesses = [f"{key}.{guess}" for guess in nearest(name, _OPTIONS, n=1)]
            raise UsageError(
                f"{key}.{name}: a stage has no such option.{did_you_mean(guesses)}\n"
                f"  accepted: {', '.join(_OPTIONS)}"
            )


def _merged(name: str, own: StageConfig, given: Mapping[str, Any]) -> StageConfig:
    values: dict[str, Any] = dict(vars(own))
    for option, value in given.get(name, {}).items():
        key, kind = f"stages.{name}.{option}", _OPTIONS[option]
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            raise UsageError(
                f"{key}={format_value(value)}: {expected(key, kind, getattr(own, option))}"
            )
        if value <= 0:
            raise UsageError(f"{key}={format_value(value)}: expected a positive number")
        values[option] = kind(value)
    return StageConfig(**values)
