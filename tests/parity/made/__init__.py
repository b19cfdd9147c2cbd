"""Parity files of our own, from second implementations that share no code with vgbench."""

from tests.parity.made import frechet, g3an, i3d, inception, jet

FAMILIES = {"g3an": g3an, "i3d": i3d, "inception": inception, "frechet": frechet, "jet": jet}


def write_all(folder, small):
    """Writes the small files of every family to `folder`, or all their files."""
    folder.mkdir(parents=True, exist_ok=True)
    for family in FAMILIES.values():
        family.write(folder, small)
