"""Cards of the protocols behind the rows of a page: everything that each of them fixes."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from vgbench.errors import UnknownNameError
from vgbench.metrics.protocol import get_protocol
from vgbench.report.rows import LeaderboardRow

# Fields that stand in the name of a protocol.
_NAMED = {"metric", "variant", "version"}


@dataclass(frozen=True)
class ProtocolCard:
    """A protocol as a page shows it.

    Attributes:
        id: `metric/variant@version`.
        hash: Hash of its fields.
        facts: Pairs of name and value.
        remark: Why its fields are not shown, if they are not.
    """

    id: str
    hash: str
    facts: tuple[tuple[str, str], ...]
    remark: str = ""

    @property
    def anchor(self) -> str:
        """Name of its place in the page."""
        return anchor(self.id, self.hash)


def anchor(protocol_id: str, protocol_hash: str) -> str:
    """Returns the name of a protocol's place in the page."""
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in protocol_id)
    return f"protocol-{letters[:60]}-{protocol_hash[:12]}"


def cards(rows: Iterable[LeaderboardRow]) -> list[ProtocolCard]:
    """Returns one card per protocol and hash, sorted by name."""
    firsts: dict[tuple[str, str], LeaderboardRow] = {}
    for row in rows:
        firsts.setdefault((row.protocol_id, row.protocol_hash), row)
    return [_card(firsts[key]) for key in sorted(firsts)]


def _card(row: LeaderboardRow) -> ProtocolCard:
    weights = row.feature_net_sha256 or "none"
    facts = [
        ("metric", row.metric),
        ("network", row.feature_net),
        ("weights", f"{row.weights_identity}, sha256 {weights}"),
        ("preprocess id", row.preprocess_id),
        ("precision", row.precision),
    ]
    try:
        protocol = get_protocol(row.protocol_id)
    except UnknownNameError:
        return _unknown(row, facts)
    if protocol.hash != row.protocol_hash:
        return _unknown(row, facts)
    fields = asdict(protocol).items()
    facts += [(name, "" if v is None else str(v)) for name, v in fields if name not in _NAMED]
    return ProtocolCard(row.protocol_id, row.protocol_hash, tuple(facts))


def _unknown(row: LeaderboardRow, facts: list[tuple[str, str]]) -> ProtocolCard:
    remark = (
        f"No protocol of this id and hash is installed here; vgbench {row.vgbench_version} "
        "measured with it. The row knows of it what stands above."
    )
    counted = [(name, str(getattr(row, name))) for name in ("frames", "stride", "n_real", "n_fake")]
    return ProtocolCard(row.protocol_id, row.protocol_hash, (*facts, *counted), remark)
