"""What every `EvalProtocol` keeps to."""

import re

from vgbench.metrics.extractors.base import FeatureExtractor
from vgbench.metrics.protocol_record import PROTOCOLS, EvalProtocol
from vgbench.registry import EXTRACTORS
from vgbench.testing.contract import Tell, examine, ignore, require


def check_protocol(protocol: EvalProtocol, tell: Tell = ignore) -> None:
    """Examines a protocol; nothing is computed.

    Args:
        protocol: The protocol.
        tell: Called with each finding as soon as it is made.

    Raises:
        ContractError: If it breaks a promise; names all that it breaks.
    """
    examine(CHECKS, protocol, protocol.name, tell)


def the_name_is_its_own(protocol: EvalProtocol) -> None:
    """It is registered under `metric/variant@version`, and no name of vgbench's is taken."""
    written = re.fullmatch(r"[a-z]+[a-z0-9]*/[a-z0-9-]+@\d+", protocol.name)
    require(bool(written), f"'{protocol.name}' is not of that form")
    known = PROTOCOLS.load_all()
    other = next((name for name, found in known.items() if found == protocol), protocol.name)
    require(other == protocol.name, f"it is registered as '{other}'")


def the_extractor_fits(protocol: EvalProtocol) -> None:
    """Its extractor is registered and prepares frames as the protocol says."""
    kind: type[FeatureExtractor] = EXTRACTORS.get(protocol.extractor.partition(":")[0])
    known = tuple(getattr(kind, "inputs", ())) or (kind.preprocess_id,)
    # What a core without weights appends, such as its levels, follows the size of the frames.
    accepted = protocol.preprocess in {*known, *(name.partition("-l")[0] for name in known)}
    require(accepted, f"it says '{protocol.preprocess}', the extractor {', '.join(known)}")


def counts_are_positive(protocol: EvalProtocol) -> None:
    """Clips have frames, and there are enough of them for a number."""
    for name in ("frames", "stride", "trials", "min_clips", "frames_per_fake_video", "version"):
        require(getattr(protocol, name) >= 1, f"{name} is {getattr(protocol, name)}")
    enough = protocol.n_real is None or protocol.n_real >= protocol.min_clips
    require(enough, f"{protocol.n_real} real clips, but min_clips is {protocol.min_clips}")


CHECKS = (the_name_is_its_own, the_extractor_fits, counts_are_positive)
