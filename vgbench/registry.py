"""Typed registries with lazy targets, entry points and suggestions."""

import difflib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from vgbench.errors import UnknownNameError, UsageError
from vgbench.types import DatasetConfig, ModelConfig

T = TypeVar("T")
_log = logging.getLogger(__name__)


def load_target(target: str) -> Any:
    """Returns the object that `module:attribute` names.

    Args:
        target: e.g. `vgbench.models.g3an.module:G3AN`.

    Raises:
        ImportError: If the module cannot be imported.
        AttributeError: If the module has no such attribute.
    """
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Returns up to `n` of `known` that are spelled like `name`, best first."""
    return difflib.get_close_matches(name, list(known), n=n, cutoff=0.5)


@dataclass(frozen=True)
class Plugin:
    """One registered name that came from an installed distribution."""

    kind: str
    name: str
    distribution: str
    version: str


class Registry(Generic[T]):
    """Names to objects of one kind.

    Built-ins are `module:attribute` strings, imported on first use, so listing names imports
    nothing heavy. Installed packages add theirs through the entry-point group
    `vgbench.<kind>s`; a name that two sides claim is an error naming both.

    Args:
        kind: Singular noun used in messages, e.g. `model`.
        builtins: Name to `module:attribute`.
        misfit: Says what keeps an object that a plugin brings from being of the kind; empty for
            nothing.
    """

    def __init__(
        self, kind: str, builtins: dict[str, str], misfit: Callable[[Any], str] = lambda found: ""
    ) -> None:
        self.kind = kind
        self._builtins = builtins
        self._misfit = misfit
        self._added: dict[str, T] = {}
        self._warned: set[str] = set()

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=f"vgbench.{self.kind}s"):
            other = found.get(point.name)
            if point.name in {*self._builtins, *self._added} or other is not None:
                raise self._clash(point.name, _distribution(other) if other else "vgbench", point)
            found[point.name] = point
        return found

    def _clash(self, name: str, owner: str, point: EntryPoint) -> UsageError:
        return UsageError(
            f"{self.kind} '{name}' is registered twice: "
            f"by {owner} and by {_distribution(point)}; uninstall one of them"
        )

    def names(self) -> list[str]:
        """Returns all names, sorted, without importing what they stand for."""
        return sorted({*self._builtins, *self._entry_points, *self._added})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def register(self, name: str, value: T) -> T:
        """Adds `value` under `name` for this process and returns it.

        Raises:
            UsageError: If the name is taken.
        """
        if name in self._entry_points:
            raise self._clash(name, "vgbench", self._entry_points[name])
        if name in self:
            raise UsageError(f"{self.kind} '{name}' is registered twice; choose another name")
        self._added[name] = value
        return value

    def get(self, name: str) -> T:
        """Returns what `name` stands for, importing it if need be.

        Raises:
            UnknownNameError: If the name is not registered; the message suggests the nearest.
            UsageError: If a plugin of that name cannot be imported.
        """
        if name in self._added:
            return self._added[name]
        if name in self._builtins:
            return cast(T, load_target(self._builtins[name]))
        if name in self._entry_points:
            return self._load_plugin(name)
        raise UnknownNameError(unknown_name_text(self.kind, name, self.names()))

    def plugins(self) -> list[Plugin]:
        """Returns the names that other distributions added, with who added them."""
        points = self._entry_points.items()
        return [
            Plugin(self.kind, name, _distribution(point), point.dist.version if point.dist else "")
            for name, point in sorted(points)
        ]

    def load_all(self) -> dict[str, T]:
        """Returns every name that can be imported; a broken plugin is one warning line."""
        loaded = {name: self.get(name) for name in (*self._builtins, *self._added)}
        for name in self._entry_points:
            try:
                loaded[name] = self._load_plugin(name)
            except UsageError as error:
                if name not in self._warned:
                    _log.warning("%s", str(error).splitlines()[0])
                self._warned.add(name)
        return dict(sorted(loaded.items()))

    def _load_plugin(self, name: str) -> T:
        point = self._entry_points[name]
        try:
            found = point.load()
            reason = self._misfit(found)
        except (Exception, SystemExit) as error:  # a foreign package may fail in any way
            reason = " ".join(str(error).split()) or type(error).__name__
        if reason:
            raise UsageError(
                f"plugin {self.kind} '{name}' is broken: {reason}\n"
                f"  repair or uninstall {_distribution(point)}      (vgbench ls plugins)"
            )
        return cast(T, found)


def unknown_name_text(kind: str, name: str, known: list[str]) -> str:
    """Returns the message for a name that is not among `known`."""
    guesses = nearest(name, known)
    hint = f" Did you mean {' or '.join(repr(g) for g in guesses)}?" if guesses else ""
    listed = f"  {kind}s: {', '.join(known) or '(none)'}      (vgbench ls {kind}s)"
    return f"unknown {kind} '{name}'.{hint}\n{listed}"


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _misfit_of(kind: type[Any]) -> Callable[[Any], str]:
    def misfit(found: Any) -> str:
        is_fit = isinstance(found, type) and issubclass(found, kind)
        return "" if is_fit else f"{found!r} is no subclass of {kind.__module__}.{kind.__name__}"

    return misfit


# The registered thing of a model or dataset is its torch-free options record (`ModelConfig`,
# `DatasetConfig`), which names the class that implements it.
MODELS: Registry[Any] = Registry(
    "model",
    {
        "g3an": "vgbench.models.g3an.config:G3ANConfig",
        "inversion": "vgbench.models.inversion.config:InversionConfig",
        "style-transfer": "vgbench.models.stylegan2.transfer_config:StyleTransferConfig",
        "stylegan2-frames": "vgbench.models.stylegan2.config:StyleGAN2FramesConfig",
        "stylegan3-frames": "vgbench.models.stylegan3.config:StyleGAN3FramesConfig",
        "styleganv": "vgbench.models.stylegan_v.config:StyleGANVConfig",
        "styleinv": "vgbench.models.styleinv.config:StyleInVConfig",
        "stylesv": "vgbench.models.stylesv.config:StyleSVConfig",
        "stylevideogan": "vgbench.models.stylevideogan.config:StyleVideoGANConfig",
    },
    _misfit_of(ModelConfig),
)
DATASETS: Registry[Any] = Registry(
    "dataset",
    {
        "shapes": "vgbench.data.config:ShapesConfig",
        "digits": "vgbench.data.config:DigitsConfig",
    },
    _misfit_of(DatasetConfig),
)
EXTRACTORS: Registry[Any] = Registry(
    "extractor",
    {
        "jet": "vgbench.metrics.extractors.jet:Jet",
        "jet-2": "vgbench.metrics.extractors.jet:Jet2",
        "jet-image": "vgbench.metrics.extractors.jet:JetImage",
        "jet-long": "vgbench.metrics.extractors.jet:JetLong",
        "i3d": "vgbench.metrics.extractors.i3d:I3DLogits",
        "i3d-random": "vgbench.metrics.extractors.i3d_random:I3DRandom",
        "inception-2015": "vgbench.metrics.extractors.inception:InceptionPool",
        "resnext101-k400": "vgbench.metrics.extractors.resnext:ResNeXtPool",
    },
    # Their base class needs torch, which listing names must not import.
    lambda found: "" if hasattr(found, "load") else f"{found!r} is no FeatureExtractor",
)
LAUNCHERS: Registry[Any] = Registry(
    "launcher",
    {"slurm": "vgbench.launchers.slurm:SlurmLauncher"},
    lambda found: "" if hasattr(found, "write") else f"{found!r} is no Launcher",
)
