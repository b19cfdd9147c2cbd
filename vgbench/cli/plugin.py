"""`vgbench plugin`: does what a package adds keep to the contracts?"""

from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from collections.abc import Callable

    from vgbench.config.schema import RunConfig
    from vgbench.registry import Plugin
    from vgbench.testing import Finding


@click.group()
def plugin() -> None:
    """Check what installed packages add.

    \b
    Examples:
      vgbench plugin check my-package
      vgbench plugin check my-model model.channels=8
    """


@plugin.command()
@click.argument("name")
@click.argument("overrides", nargs=-1, metavar="[key=value ...]")
@click.option("--data-dir", help="Folder of prepared data sets.")
def check(name: str, overrides: tuple[str, ...], data_dir: str | None) -> None:
    """Check NAME, an installed package or a model, dataset, extractor or protocol.

    A model is built in its demo budget at the size of the data set `shapes`; `key=value` changes
    its options, or the size by dataset.resolution=64.

    \b
    Examples:
      vgbench plugin check my-package
      vgbench plugin check g3an model.channels=4
    """
    from vgbench.testing import ContractError

    results: list[dict[str, Any]] = []
    for item in _found(name):
        common.console().print(f"[bold]{item.kind} {item.name}[/bold]  {item.distribution}")
        for finding in _findings(item, list(overrides), data_dir):
            kept = {"promise": finding.promise, "broken": finding.broken}
            results.append({"kind": item.kind, "name": item.name, **kept})
    if common.option("as_json"):
        common.emit_json(results)
    broken = sum(bool(result["broken"]) for result in results)
    if broken:
        raise ContractError(f"{broken} of {len(results)} promises of '{name}' are broken")
    common.console().print(f"all {len(results)} promises of '{name}' are kept")


def _findings(item: "Plugin", words: list[str], data_dir: str | None) -> "list[Finding]":
    """Checks one thing, shows each finding as it is made, and returns them."""
    from vgbench.errors import VGBenchError
    from vgbench.testing import ContractError, Finding

    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        _show(finding)
        findings.append(finding)

    try:
        _CHECKS[item.kind](item.name, words, data_dir, tell)
    except ContractError:
        pass  # told already
    except VGBenchError as error:
        tell(Finding("it can be opened", str(error)))
    return findings


def _found(name: str) -> "list[Plugin]":
    """Returns what a package adds, or the one thing of that name."""
    from vgbench.errors import UnknownNameError
    from vgbench.registry import Plugin, unknown_name_text

    registries = common.registries()
    plugins = [plugin for registry in registries for plugin in registry.plugins()]
    of_package = [plugin for plugin in plugins if plugin.distribution == name]
    named = [plugin for plugin in plugins if plugin.name == name]
    built_in = [Plugin(r.kind, name, "vgbench", "") for r in registries if name in r.names()]
    found = of_package or named or built_in
    if not found:
        packages = {plugin.distribution for plugin in plugins}
        known = [*packages, *(plugin.name for plugin in plugins)]
        raise UnknownNameError(unknown_name_text("plugin", name, sorted(known)))
    return found


def _show(finding: "Finding") -> None:
    from rich.markup import escape

    mark = "[red]broken[/red]" if finding.broken else "[green]kept[/green]  "
    reason = f"\n          {escape(finding.broken)}" if finding.broken else ""
    common.console().print(f"  {mark}  {escape(finding.promise)}{reason}")


def _check_model(name: str, words: list[str], data_dir: str | None, tell: Any) -> None:
    from vgbench.testing import check_video_gan
    from vgbench.types import VideoSpec

    config = _composed([f"model={name}", "dataset=shapes", *words], data_dir)
    side = getattr(config.dataset, "resolution", 32)
    check_video_gan(config.model, VideoSpec(height=side, width=side), tell)


def _check_dataset(name: str, words: list[str], data_dir: str | None, tell: Any) -> None:
    from vgbench.data.sources import open_dataset
    from vgbench.testing import check_video_source

    config = _composed(["model=g3an", f"dataset={name}", *words], data_dir)
    check_video_source(lambda: open_dataset(config.dataset), tell)


def _check_extractor(name: str, words: list[str], data_dir: str | None, tell: Any) -> None:
    from vgbench.metrics.extractors.base import open_extractor
    from vgbench.testing import check_extractor

    check_extractor(lambda: open_extractor(name, common.weights_dir()), tell=tell)


def _check_protocol(name: str, words: list[str], data_dir: str | None, tell: Any) -> None:
    from vgbench.metrics.protocol import PROTOCOLS
    from vgbench.testing import check_protocol

    check_protocol(PROTOCOLS.get(name), tell)


_CHECKS: "dict[str, Callable[[str, list[str], str | None, Any], None]]" = {
    "model": _check_model,
    "dataset": _check_dataset,
    "extractor": _check_extractor,
    "protocol": _check_protocol,
}


def _composed(words: list[str], data_dir: str | None) -> "RunConfig":
    from vgbench.config.compose import compose

    return compose(["budget=demo", *words], common.data_dir(data_dir))
