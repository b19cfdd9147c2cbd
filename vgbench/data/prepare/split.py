"""Which videos are for training and which are held out."""

import hashlib
import os
import re

from vgbench.data.cache import SPLITS
from vgbench.errors import UsageError


def parse_split(text: str) -> tuple[int, ...]:
    """Returns the shares of train, val and test in `80:10:10`; empty if `text` is.

    Raises:
        UsageError: If it is not three numbers of which the first is positive.
    """
    if not text:
        return ()
    shares = tuple(map(int, text.split(":"))) if re.fullmatch(r"\d+:\d+:\d+", text) else (0,)
    if not shares[0]:
        raise UsageError(f"--split {text}: expected shares train:val:test, e.g. --split 80:10:10")
    return shares


def split_of(group: str, shares: tuple[int, ...]) -> str:
    """Returns the split of a source video: the same for all its pieces, whatever else there is.

    Args:
        group: The source video.
        shares: Of train, val and test; empty puts everything into train.
    """
    if not shares:
        return SPLITS[0]
    digest = hashlib.blake2b(os.fsencode(group), digest_size=8).digest()
    place = int.from_bytes(digest, "big") * sum(shares) >> 64  # uniform in [0, sum)
    for name, share in zip(SPLITS, shares, strict=True):
        if place < share:
            return name
        place -= share
    raise AssertionError(place)
