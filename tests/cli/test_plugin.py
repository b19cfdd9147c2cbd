"""Plugins on the command line: broken ones, name clashes, and `vgbench plugin check`."""

import json
import sys
from importlib.metadata import Distribution, EntryPoint

import pytest

from vgbench.cli.common import registries

MODULE = """
import random
from dataclasses import dataclass

import numpy as np
import torch

from vgbench.data.config import ShapesConfig
from vgbench.data.synthetic import ShapesSource
from vgbench.metrics.extractors.jet import Jet
from vgbench.metrics.protocol_record import EvalProtocol
from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.module import G3AN


@dataclass(frozen=True)
class LooseConfig(G3ANConfig):
    target = "loose_plugin:Loose"
    summary = "forgets its generators"


class Loose(G3AN):
    def draw(self, n, frames, generator):
        return torch.rand(n, 3, frames, 32, 32)


@dataclass(frozen=True)
class WildConfig(ShapesConfig):
    target = "loose_plugin:Wild"
    summary = "never reads the same twice"


class Wild(ShapesSource):
    def read(self, i, frames):
        video = super().read(i, frames)
        return np.roll(video, random.randrange(1, 30), axis=1)


class Halved(Jet):
    def forward(self, clips):
        features = super().forward(clips)
        return (features - features.mean(dim=0)).half()


WRONG = EvalProtocol("loose16", "x", "energy", extractor="jet", preprocess="no", frames=16)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Returns a function that makes entry points visible, as installing their package would."""
    (tmp_path / "loose_plugin.py").write_text(MODULE)
    metadata = tmp_path / "loose-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: loose\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    package = Distribution.at(metadata)

    def forget():
        for registry in registries():
            registry.__dict__.pop("_entry_points", None)
            registry._warned.clear()

    def install(**groups):
        def entry_points(group):
            kind = group.removeprefix("vgbench.")
            points = [EntryPoint(name, value, group) for name, value in groups.get(kind, ())]
            return [point._for(package) for point in points]

        monkeypatch.setattr("vgbench.registry.entry_points", entry_points)
        forget()

    yield install
    forget()
    sys.modules.pop("loose_plugin", None)


def test_a_broken_plugin_is_one_warning_line(installed, vgbench, caplog):
    installed(models=[("gone", "no_such_module:Thing"), ("odd", "json:dumps")])
    code, out, _ = vgbench("ls", "models")
    assert code == 0
    assert "g3an" in out
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert "plugin model 'gone' is broken: No module named 'no_such_module'" in warnings[0]
    assert "is no subclass of vgbench.types.ModelConfig" in warnings[1]
    assert not any("\n" in line for line in warnings)


def test_a_broken_plugin_is_an_error_only_where_it_is_asked_for(installed, vgbench):
    installed(models=[("gone", "no_such_module:Thing")])
    assert vgbench("run", "model=g3an", "dataset=shapes", "--dry-run")[0] == 0
    code, _, error = vgbench("run", "model=gone", "dataset=shapes", "--dry-run")
    assert code == 2
    assert error == (
        "error: plugin model 'gone' is broken: No module named 'no_such_module'\n"
        "  repair or uninstall loose      (vgbench ls plugins)\n"
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [("model", "g3an"), ("dataset", "shapes"), ("extractor", "jet"), ("protocol", "fid/vgbench@1")],
)
def test_a_name_clash_is_an_error_that_names_both(installed, vgbench, kind, name):
    installed(**{f"{kind}s": [(name, "loose_plugin:Thing")]})
    code, _, error = vgbench("ls", f"{kind}s")
    assert code == 2
    expected = f"{kind} '{name}' is registered twice: by vgbench and by loose; uninstall one"
    assert error.startswith(f"error: {expected}")


def test_check_names_every_broken_promise(installed, vgbench):
    installed(
        models=[("loose", "loose_plugin:LooseConfig")],
        datasets=[("wild", "loose_plugin:WildConfig")],
        extractors=[("halved", "loose_plugin:Halved")],
        protocols=[("loose16/y@1", "loose_plugin:WRONG")],
    )
    code, out, error = vgbench("--json", "plugin", "check", "loose")
    assert code == 2
    broken = {(r["name"], r["promise"]): r["broken"] for r in json.loads(out) if r["broken"]}
    assert "promises of 'loose' are broken" in error
    told = "\n".join(f"{name}: {promise}: {why}" for (name, promise), why in broken.items())
    assert "loose: the same generator state gives the same videos" in told
    assert "loose: with one generator per video" in told
    assert "loose: neither building nor sampling" in told
    assert "wild: frames come in the order asked" in told
    assert "halved: features are finite float32" in told
    assert "halved: the features of a clip do not depend on the other clips" in told
    assert "loose16/y@1: it is registered under" in told
    assert "it says 'no', the extractor yuv601" in told
    assert not any(name == "loose" and "initial weights" in promise for name, promise in broken)


def test_check_of_a_plugin_that_cannot_be_opened(installed, vgbench):
    installed(models=[("gone", "no_such_module:Thing")])
    code, out, _ = vgbench("plugin", "check", "gone")
    assert code == 2
    assert "broken  it can be opened" in out


def test_what_is_built_in_keeps_its_promises(vgbench):
    assert vgbench("plugin", "check", "jet")[0] == 0
    assert vgbench("plugin", "check", "shapes")[0] == 0
    assert vgbench("plugin", "check", "fvd16/vgbench@1")[0] == 0
    assert vgbench("plugin", "check", "hed16/demo@1")[0] == 0


def test_check_of_an_unknown_name(vgbench):
    code, _, error = vgbench("plugin", "check", "nothing")
    assert code == 2
    assert error.startswith("error: unknown plugin 'nothing'.")
