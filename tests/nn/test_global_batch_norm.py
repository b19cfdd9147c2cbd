"""Two processes normalise a batch as one would."""

import subprocess
import sys

import pytest
import torch

from tests.nn.normalising import step


@pytest.mark.slow
def test_two_processes_normalise_as_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(6, 5, 3, 4, generator=generator, dtype=torch.double) * 3 + 2
    weights = torch.randn(2, 5, generator=generator, dtype=torch.double)
    torch.save({"maps": maps, "weights": weights}, tmp_path / "given.pt")
    command = [sys.executable, "-m", "tests.nn.normalising", str(tmp_path)]
    processes = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    one_own, one_alike = step(maps, weights)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name, value in one_own.items():
        torch.testing.assert_close(torch.cat([own[name] for own, _ in found]), value, msg=name)
    for _, alike in found:
        for name, value in one_alike.items():
            torch.testing.assert_close(alike[name], value, msg=name)
