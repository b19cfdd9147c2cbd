"""What is installed: all of the package, its templates, tables and YAML files too."""

from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_of_the_package_is_in_the_wheel():
    installed = {Path(file.path) for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    files = {path for path in (ROOT / "vgbench").rglob("*") if path.is_file()}
    needed = {path for path in files if "__pycache__" not in path.parts}
    assert {path.suffix for path in needed} >= {".py", ".yaml", ".toml", ".csv", ".html", ".typed"}
    assert not needed - installed
