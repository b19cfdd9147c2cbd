"""`vgbench eval --explain`: everything that a protocol fixes, before anything is evaluated."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.data.sources import VideoSource
    from vgbench.metrics.protocol import EvalProtocol


def explain(names: list[str], source: "VideoSource | None") -> None:
    """Prints the protocols of these names; on a data set also the clips they would take.

    Args:
        names: Protocol names.
        source: The real videos, or None.
    """
    from vgbench.metrics.protocol import get_protocol

    found = [_explained(get_protocol(name), source) for name in names]
    if common.option("as_json"):
        common.emit_json(found)
        return
    for one in found:
        _print(one)


def _explained(protocol: "EvalProtocol", source: "VideoSource | None") -> dict[str, Any]:
    return {
        "id": protocol.id,
        "hash": protocol.hash,
        **_network(protocol),
        "clips": "" if source is None else _counts(protocol, source),
        "fields": asdict(protocol),
    }


def _network(protocol: "EvalProtocol") -> dict[str, Any]:
    """Returns the name that a number would carry now, and the weights behind it."""
    from vgbench.errors import WeightsError
    from vgbench.metrics.protocol import metric_name
    from vgbench.registry import EXTRACTORS
    from vgbench.weights.store import WeightStore

    name, _, seed = protocol.extractor.partition(":")
    weights_name = getattr(EXTRACTORS.get(name), "weights_name", None)
    if seed:
        return {
            "metric": metric_name(protocol, "random"),
            "network": protocol.extractor,
            "weights": f"drawn with seed {seed}",
        }
    if weights_name is None:
        weights = "none needed"
        metric = metric_name(protocol, "handcrafted")
        return {"metric": metric, "network": protocol.extractor, "weights": weights}
    store = WeightStore(common.weights_dir())
    try:
        _, ref = store.load(weights_name)
    except WeightsError:
        metric = metric_name(protocol, "official")
        hint = f"'{weights_name}' not installed; vgbench weights fetch {weights_name}"
        return {"metric": metric, "network": protocol.extractor, "weights": hint}
    return {
        "metric": metric_name(protocol, ref.identity, ref.sha256),
        "network": protocol.extractor,
        "weights": f"'{weights_name}', {ref.identity}, sha256 {ref.sha256}",
    }


def _counts(protocol: "EvalProtocol", source: "VideoSource") -> str:
    from vgbench.errors import ProtocolError
    from vgbench.metrics.protocol import check_enough

    lengths = [source.meta(i).n_frames for i in range(len(source))]
    try:
        counts = check_enough(protocol, lengths, dataset=source.name)
    except ProtocolError as error:
        return f"refused: {error}"
    notes = "".join(f"; {note}" for note in counts.notes)
    trials = "" if protocol.trials == 1 else f", {protocol.trials} times"
    return f"{counts.n_real} real and {counts.n_fake} generated of '{source.name}'{trials}{notes}"


def _print(one: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = common.console()
    console.print(f"[bold]{escape(one['id'])}[/bold]  #{one['hash']}")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    for name in ("metric", "network", "weights", "clips"):
        if one[name]:
            table.add_row(f"[bold]{name}[/bold]", escape(one[name]))
    for name, value in one["fields"].items():
        if name not in ("metric", "variant", "version"):
            table.add_row(name, "-" if value is None else escape(str(value)))
    console.print(table)
