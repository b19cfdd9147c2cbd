"""`vgbench eval`: what it explains and prints."""

import json
from dataclasses import fields

import pytest

from vgbench.metrics.protocol import PROTOCOLS, EvalProtocol, get_protocol


@pytest.mark.parametrize("name", ["fvd16/styleganv", "hed16", "fid50k/styleinv", "rfd16"])
def test_explain_prints_every_field(vgbench, name):
    protocol = get_protocol(name)
    code, out, err = vgbench("eval", "--explain", "--protocol", name)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{protocol.id}  #{protocol.hash}"
    words = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in out.splitlines()[1:]}
    for field in fields(EvalProtocol):
        if field.name not in ("metric", "variant", "version"):
            value = getattr(protocol, field.name)
            assert words[field.name] == ("-" if value is None else str(value)), field.name


def test_explain_says_what_a_number_would_be_called_and_from_how_many(
    vgbench, monkeypatch, tmp_path
):
    monkeypatch.setenv("VGBENCH_WEIGHTS_DIR", str(tmp_path))
    words = ("--json", "eval", "--explain", "--dataset", "shapes", "--protocol")
    hed, fvd, long = json.loads(vgbench(*words, "hed16,fvd16,fvd128/styleganv")[1])
    assert (hed["metric"], hed["weights"]) == ("hED16", "none needed")
    assert "real and" in hed["clips"]
    assert fvd["metric"] == "FVD16"
    assert fvd["weights"] == "'i3d-k400' not installed; vgbench weights fetch i3d-k400"
    assert long["clips"].startswith("refused: protocol fvd128/styleganv@1 needs >= 128 frames")
    assert long["fields"]["ddof"] == 0


def test_explain_knows_every_protocol(vgbench):
    found = json.loads(vgbench("--json", "eval", "--explain", "--protocol", ",".join(PROTOCOLS))[1])
    assert [one["id"] for one in found] == list(PROTOCOLS)
