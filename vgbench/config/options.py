"""The options of a record by name, and the messages about a wrong one."""

import dataclasses
import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from operator import attrgetter
from typing import Any, get_type_hints

from vgbench.errors import UsageError
from vgbench.registry import nearest


@dataclass(frozen=True)
class Option:
    """One option of a record.

    Attributes:
        name: `channels`, or `motion.distance` where `motion` is a record of its own.
        kind: Its type.
        default: Its default.
        meaning: What the docstring of the record says of it.
    """

    name: str
    kind: Any
    default: Any
    meaning: str


def options_of(schema: type[Any]) -> dict[str, Option]:
    """Returns the options of a record by name, those of nested records among them."""
    kinds, meanings = get_type_hints(schema), dict[str, str]()
    for base in reversed(schema.__mro__):  # a record describes its own options only
        meanings |= attribute_docs(base.__doc__ or "")
    found: dict[str, Option] = {}
    for field in fields(schema):
        kind, default = kinds[field.name], default_of(field)
        if is_dataclass(kind):
            for name, inner in options_of(kind).items():  # type: ignore[arg-type]
                value = inner.default if default is None else attrgetter(name)(default)
                full = f"{field.name}.{name}"
                found[full] = replace(inner, name=full, default=value)
        else:
            found[field.name] = Option(field.name, kind, default, meanings.get(field.name, ""))
    return found


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Returns the default of a dataclass field, or None if it has none."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


def attribute_docs(docstring: str) -> dict[str, str]:
    """Returns name to meaning from the `Attributes:` section of a Google-style docstring."""
    section = inspect.cleandoc(docstring).partition("Attributes:\n")[2]
    joined = re.sub(r"\n {6,}", " ", section)
    return dict(re.findall(r"^ {4}(\w+): (.+)$", joined, flags=re.MULTILINE))


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


def type_words(kind: Any) -> str:
    """Returns what to type for a value of this type, e.g. `an integer`."""
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


def did_you_mean(guesses: Iterable[str]) -> str:
    """Returns a suggestion to append to a message; nothing without guesses."""
    guess = next(iter(guesses), None)
    return f" Did you mean {guess}?" if guess else ""


def expected(key: str, kind: Any, default: Any) -> str:
    """Returns the kind of value that the option `key` takes, with an example."""
    return f"expected {type_words(kind)}, e.g. {key}={format_value(default)}"


def no_such_option(key: str, schema: type[Any], owner: str) -> UsageError:
    """Returns the error for the key `group.option` of an option that `schema` does not have.

    Args:
        key: As the user wrote it.
        schema: The group's options.
        owner: The name that was chosen for the group, e.g. `g3an`; empty if it has one schema.
    """
    group, _, name = key.partition(".")
    options = options_of(schema)
    inner = [option for option in options if option.startswith(f"{name}.")]
    if inner:
        example = f"{group}.{inner[0]}={format_value(options[inner[0]].default)}"
        return UsageError(f"{key} holds options of its own; set one of them, e.g. {example}")
    guesses = [
        f"{group}.{guess} (default {format_value(options[guess].default)})"
        for guess in nearest(name, options, n=1)
    ]
    where = f"{group}={owner}" if owner else group
    return UsageError(
        f"{key}: '{owner or group}' has no such option.{did_you_mean(guesses)}\n"
        f"  see: vgbench config options {where}"
    )
