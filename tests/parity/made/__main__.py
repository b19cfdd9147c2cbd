"""Writes parity files to a folder: `python -m tests.parity.made DIR [--small]`."""

import argparse
from pathlib import Path

from tests.parity.made import write_all

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path)
parser.add_argument("--small", action="store_true", help="only the small files")
options = parser.parse_args()
write_all(options.folder, options.small)
