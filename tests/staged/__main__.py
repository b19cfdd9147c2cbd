"""The command line with the method of the tests registered: `python -m tests.staged run ...`."""

import sys

from tests.staged.config import registered
from vgbench.cli.main import main

if __name__ == "__main__":
    with registered():
        main(sys.argv[1:])
