"""Named, versioned evaluation protocols: finding them, and whether clips suffice for them.

Standard library only. The record is in `protocol_record`, the built-in protocols are in
`protocol_table`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from vgbench.errors import ProtocolError, UnknownNameError
from vgbench.metrics.protocol_record import PROTOCOLS, EvalProtocol
from vgbench.metrics.protocol_table import ALIASES
from vgbench.registry import unknown_name_text
from vgbench.weights.record import Identity

__all__ = [
    "ALIASES",
    "PROTOCOLS",
    "EvalProtocol",
    "SampleCounts",
    "check_enough",
    "count_notes",
    "get_protocol",
    "metric_name",
    "refuse_few",
]

_RELIABLE_CLIPS = 256  # a number from fewer clips carries a note

# Names of the families where they are not the family in capitals.
_SPELLINGS = {
    "fvdinf": "FVDinf",
    "vfid": "vFID",
    "hed": "hED",
    "hfd": "hFD",
    "hmmd": "hMMD",
    "rfd": "rFD",
    "rkvd": "rKVD",
}
# What a number is called when the weights do not earn it the name of its family.
_PLAIN = {
    "frechet": "FD",
    "frechet-infinity": "FDinf",
    "energy": "ED",
    "mmd-poly3": "KD",
    "mmd-poly3-subsets": "KD",
    "mmd-poly2-v": "MMD2",
    "mmd-rational-quadratic": "MMD",
}


@dataclass(frozen=True)
class SampleCounts:
    """How many clips an evaluation will take.

    Attributes:
        n_real: Real clips.
        n_fake: Generated clips.
        notes: What is not standard about them; for the row of the result.
    """

    n_real: int
    n_fake: int
    notes: tuple[str, ...]


def get_protocol(name: str) -> EvalProtocol:
    """Returns the protocol that a name stands for.

    Args:
        name: An id (`fvd16/styleganv@1`), an id without its version (the newest is taken), a
            metric alone (`fvd16`: vgbench's own variant, or the only one there is), or a
            StyleGAN-V name (`fvd2048_16f`).

    Raises:
        UnknownNameError: If nothing is called so; the message suggests the nearest names.
    """
    known = PROTOCOLS.load_all()
    full = ALIASES.get(name, name)
    versions = [p for p in known.values() if full in (p.name, p.name.partition("@")[0])]
    if not versions and "/" not in full:
        versions = [p for p in known.values() if (p.metric, p.variant) == (full, "vgbench")]
        versions = versions or [p for p in known.values() if p.metric == full]
        if len({p.variant for p in versions}) > 1:
            versions = []
    if not versions:
        short = [p.metric for p in known.values() if p.variant == "vgbench"]
        names = [*short, *ALIASES] if "/" not in name else list(PROTOCOLS)
        raise UnknownNameError(unknown_name_text("protocol", name, names))
    return max(versions, key=lambda p: p.version)


def metric_name(protocol: EvalProtocol, identity: Identity, sha256: str = "") -> str:
    """Returns the name a number may carry, given the weights behind it.

    `FVD16` and `FID` are reserved for the weights these metrics are defined by; with any others a
    number is a plain distance and says which network it is from: `FD16[i3d:1a2b3c4d]`.

    Args:
        protocol: Protocol of the number.
        identity: What is known of the weights.
        sha256: Hash of the weights.
    """
    family = protocol.family
    suffix = protocol.metric.removeprefix(family)
    is_random_core = protocol.extractor.startswith("i3d-random") and identity == "random"
    if identity in ("official", "handcrafted") or is_random_core:
        is_share = protocol.higher_is_better
        return _SPELLINGS.get(family, family if is_share else family.upper()) + suffix
    letters = _PLAIN.get(protocol.statistic, family)
    network = protocol.extractor.partition("-")[0]
    return f"{letters}{suffix}[{network}:{sha256[:8] or identity}]"


def check_enough(
    protocol: EvalProtocol, lengths: Iterable[int], *, dataset: str = "the data set"
) -> SampleCounts:
    """Returns how many clips to take, before any is read.

    Args:
        protocol: Protocol to be evaluated.
        lengths: Number of frames of every real video.
        dataset: Name for messages.

    Raises:
        ProtocolError: If most videos are too short, or what is left is too few.
    """
    lengths = list(lengths)
    available = _available(protocol, lengths)
    short = sum(length < protocol.min_frames for length in lengths)
    if 2 * short > len(lengths) or (short and available < protocol.min_clips):
        raise ProtocolError(_too_short_text(protocol, lengths, dataset))
    n_real = available if protocol.n_real is None else min(protocol.n_real, available)
    n_fake = n_real if protocol.n_fake is None else protocol.n_fake
    refuse_few(protocol, n_real, n_fake, dataset=dataset)
    dropped = f"{short} of {len(lengths)} real videos shorter than {protocol.min_frames} frames"
    return SampleCounts(n_real, n_fake, (dropped,) if short else ())


def refuse_few(
    protocol: EvalProtocol, n_real: int, n_fake: int, *, dataset: str = "the data set"
) -> None:
    """Refuses a number from too few clips for the name of its metric.

    Args:
        protocol: Protocol of the number.
        n_real: Real clips of one trial.
        n_fake: Generated clips of one trial.
        dataset: Name for messages.

    Raises:
        ProtocolError: If either side has fewer than the protocol's `min_clips`, or if it fixes
            the number of generated clips and there are fewer.
    """
    if protocol.n_fake is not None and protocol.min_clips <= n_fake < protocol.n_fake:
        raise ProtocolError(
            f"protocol {protocol.id} needs {protocol.n_fake} generated clips; there are {n_fake}\n"
            f"  Nothing was evaluated."
        )
    if min(n_real, n_fake) >= protocol.min_clips:
        return
    side = f"{n_real} real clips in '{dataset}'" if n_real <= n_fake else f"{n_fake} fake clips"
    hint = "" if protocol.family == "hed" else "(hed16 works with fewer clips).  "
    raise ProtocolError(
        f"protocol {protocol.id} needs >= {protocol.min_clips} clips on each side; "
        f"there are {side}\n"
        f"  {hint}Nothing was evaluated."
    )


def count_notes(protocol: EvalProtocol, n_real: int, n_fake: int, dim: int) -> tuple[str, ...]:
    """Returns what the row must say about the number of clips.

    Args:
        protocol: Protocol of the number.
        n_real: Real clips used, per trial.
        n_fake: Generated clips used, per trial.
        dim: Length of a feature vector.
    """
    notes = []
    if protocol.n_real is not None and n_real < protocol.n_real:
        notes.append(f"n_real = {n_real} instead of {protocol.n_real}")
    wanted = n_real if protocol.n_fake is None else protocol.n_fake
    if n_fake != wanted:
        notes.append(f"n_fake = {n_fake} instead of {wanted}")
    n = min(n_real, n_fake)
    if n < _RELIABLE_CLIPS:
        notes.append(f"n = {n} < {_RELIABLE_CLIPS}: large spread")
    if protocol.statistic == "frechet" and n <= dim:
        notes.append(f"n = {n} <= {dim} features: singular covariance, biased upwards")
    if protocol.higher_is_better and n_real != n_fake:
        notes.append(f"n_real = {n_real} and n_fake = {n_fake} differ: shares are not comparable")
    return tuple(notes)


def _available(protocol: EvalProtocol, lengths: list[int]) -> int:
    usable = [length for length in lengths if length >= protocol.min_frames]
    if protocol.real_clips == "one-per-video":
        return len(usable)
    if protocol.real_clips == "all-frames":
        return sum(usable)
    return protocol.n_real or 0 if usable else 0


def _too_short_text(protocol: EvalProtocol, lengths: list[int], dataset: str) -> str:
    short = sum(length < protocol.min_frames for length in lengths)
    others = [
        (_available(other, lengths), other.id)
        for other in PROTOCOLS.load_all().values()
        if (other.family, other.variant) == (protocol.family, protocol.variant)
        and (other.frames > 1) == (protocol.frames > 1)  # a frame says nothing of motion
    ]
    accepted, other_id = max(others)
    better = accepted > _available(protocol, lengths)
    hint = f"({other_id} would accept {accepted}).  " if better else ""
    return (
        f"protocol {protocol.id} needs >= {protocol.min_frames} frames per real video; "
        f"{short} of {len(lengths)} videos in '{dataset}' are shorter\n"
        f"  {hint}Nothing was evaluated."
    )
