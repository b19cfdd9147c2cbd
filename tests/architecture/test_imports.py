"""The import rule: who may import whom inside vgbench, read from the source."""

import ast
import sys
from functools import cache

from tests.architecture.source import FILES, PACKAGE, offences, tree

# Part of vgbench -> the parts it may import; all may import those in FREE.
FREE = {"errors", "locks", "sampling", "types", "seeds"}
ALLOWED = {
    "errors": set(),
    "locks": set(),
    "sampling": set(),
    "types": set(),
    "seeds": set(),
    "registry": set(),
    "runtime": set(),
    "video": set(),
    "media": set(),
    "config": {"registry", "data.config"},
    "nn": {"video"},
    "losses": {"nn"},
    "data": {"video", "registry"},
    "models": {"nn", "losses", "video", "registry"},
    "weights": {"registry"},
    "metrics": {"video", "registry", "weights"},
    "training": {
        "evaluation",
        "models.base",
        "models.checkpoint",
        "models.guided",
        "weights",
        "data",
        "metrics",
        "config",
        "media",
        "video",
        "nn",
    },
    "report": {"media", "metrics.protocol"},
    "subjects": {
        "models.base",
        "models.bounded",
        "models.checkpoint",
        "models.identity",
        "data",
        "metrics",
        "registry",
        "nn",
        "video",
    },
    "evaluation": {
        "subjects",
        "models.base",
        "models.checkpoint",
        "data",
        "metrics",
        "registry",
        "report",
        "nn",
        "video",
        "weights",
    },
    "testing": {"models.base", "models.checkpoint", "data", "metrics", "registry", "nn"},
    "launchers": set(),
    "cli": {"*"},
}
STANDARD_LIBRARY_ONLY = {"errors", "locks", "sampling", "types", "seeds", "registry", "runtime"}
# Modules that must stay importable in a fraction of a second.
TORCH_FREE = {
    *("config", "report", "launchers"),
    *("errors", "sampling", "types", "seeds", "registry", "runtime"),
}
TORCH_FREE_FILES = (
    "data/config.py",
    "metrics/protocol.py",
    "metrics/protocol_record.py",
    "metrics/protocol_table.py",
)
HYDRA_FILES = {"config/compose.py", "config/sweep.py"}


@cache
def imports(path, inside_functions=True):
    """Returns the dotted names a file imports."""
    nodes = ast.walk(tree(path)) if inside_functions else _outside_functions(tree(path))
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _outside_functions(node):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        yield child
        yield from _outside_functions(child)


def part_of(path):
    """Returns the part of vgbench a file belongs to, e.g. `metrics`."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def is_allowed(part, name):
    """Returns whether `part` may import the dotted `name`."""
    target = name.removeprefix("vgbench.")
    own = target == part or target.startswith(f"{part}.")
    if own or target.split(".")[0] in FREE or name == "vgbench.__version__":
        return True
    allowed = ALLOWED[part]
    return "*" in allowed or any(target == a or target.startswith(f"{a}.") for a in allowed)


def roots(path):
    """Returns the top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports(path)}


def test_import_rule():
    def forbidden(path):
        part = part_of(path)
        if path.parent == PACKAGE and path.stem in ("__init__", "__main__"):
            return []
        assert part in ALLOWED, f"new part '{part}': give it a place in the import rule"
        inner = [name for name in imports(path) if name.startswith("vgbench.")]
        bad = [name for name in inner if not is_allowed(part, name.replace("vgbench.__init__", ""))]
        if part == "training":
            bad = [name for name in bad if name not in ("vgbench.media", "vgbench.__version__")]
        return bad

    assert not offences(forbidden)


def test_core_is_standard_library_only():
    def outer(path):
        if part_of(path) not in STANDARD_LIBRARY_ONLY:
            return set()
        return roots(path) - {"vgbench"} - set(sys.stdlib_module_names)

    assert not offences(outer)


def test_configuration_never_imports_torch():
    heavy = {"torch", "pytorch_lightning", "torchmetrics", "lightning_fabric"}

    def heavy_imports(path):
        relative = str(path.relative_to(PACKAGE))
        is_model_config = relative.startswith("models/") and path.stem.endswith("config")
        is_light = part_of(path) in TORCH_FREE or is_model_config or relative in TORCH_FREE_FILES
        return heavy & roots(path) if is_light else set()

    assert not offences(heavy_imports)


def test_only_configuration_knows_hydra():
    def hydra(path):
        knows = str(path.relative_to(PACKAGE)) in HYDRA_FILES
        return set() if knows else roots(path) & {"hydra", "omegaconf"}

    assert not offences(hydra)


def test_nothing_imports_torchvision():
    assert not offences(lambda path: roots(path) & {"torchvision"})


def test_commands_import_inside_functions_only():
    light = ("click", "vgbench.cli", "vgbench.errors")

    def heavy(path):
        outer = imports(path, inside_functions=False) if part_of(path) == "cli" else []
        return [
            name
            for name in outer
            if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(light)
        ]

    assert not offences(heavy)


def test_no_model_imports_another():
    for path in FILES:
        relative = path.relative_to(PACKAGE)
        if relative.parts[0] != "models" or len(relative.parts) < 3:
            continue
        own = f"vgbench.models.{relative.parts[1]}"
        others = [
            name
            for name in imports(path)
            if name.startswith("vgbench.models.")
            and not name.startswith(own)
            and (PACKAGE / "models" / name.split(".")[2]).is_dir()
        ]
        assert not others, f"{relative} imports {others}"


def test_the_rule_can_fail():
    assert offences(lambda path: path.name == "base.py").keys() >= {"models/base.py"}
    assert not is_allowed("metrics", "vgbench.models.base")
    assert not is_allowed("data", "vgbench.models.base.VideoGAN")
    assert not is_allowed("training", "vgbench.models.g3an.module")
    assert is_allowed("metrics", "vgbench.video.check_clips")
