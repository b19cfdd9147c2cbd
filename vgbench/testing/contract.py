"""Running the checks of a contract: every promise is examined, then the broken ones are named."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from vgbench.errors import VGBenchError

T = TypeVar("T")


class ContractError(VGBenchError):
    """A model, data set or extractor does not do what its contract says."""

    exit_code = 2


@dataclass(frozen=True)
class Finding:
    """What became of one promise of a contract.

    Attributes:
        promise: What was examined, e.g. `samples are float32 in [-1, 1]`.
        broken: What was seen instead; empty if the promise is kept.
    """

    promise: str
    broken: str


Tell = Callable[[Finding], None]


def ignore(finding: Finding) -> None:
    """Tells nobody."""


def examine(checks: Iterable[Callable[[T], None]], subject: T, name: str, tell: Tell) -> None:
    """Runs every check on `subject`; the first line of a check's docstring is its promise.

    Args:
        checks: Functions that raise where the promise is broken.
        subject: What they look at.
        name: Its name in messages.
        tell: Called with each finding as soon as it is made.

    Raises:
        ContractError: If a promise is broken; names all that are.
    """
    broken = []
    for check in checks:
        finding = Finding(_promise(check), _broken(check, subject))
        tell(finding)
        if finding.broken:
            broken.append(f"  {finding.promise}: {finding.broken}")
    if broken:
        raise ContractError("\n".join([f"'{name}' breaks {len(broken)} promises", *broken]))


def require(kept: bool, broken: str) -> None:
    """Raises where a promise is not kept; unlike `assert`, also under `python -O`."""
    if not kept:
        raise ContractError(broken)


def _promise(check: Callable[..., None]) -> str:
    text = (check.__doc__ or check.__name__).splitlines()[0]
    return text[:1].lower() + text[1:].rstrip(".")


def _broken(check: Callable[[T], None], subject: T) -> str:
    try:
        check(subject)
    except ContractError as error:
        return str(error)
    except (Exception, SystemExit) as error:  # foreign code may fail in any way
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""
