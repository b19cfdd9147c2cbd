import json
import subprocess
import sys

import pytest

from vgbench.data.config import (
    CACHE_VERSION,
    MANIFEST,
    ShapesConfig,
    cache_config,
    find_cache,
    find_prepared,
    read_manifest,
)
from vgbench.errors import DataError


def make_cache(data_dir, name, **changes):
    manifest = {
        "version": CACHE_VERSION,
        "name": name.rpartition("_")[0],
        "resolution": 64,
        "videos": 3,
        "longest": 40,
        "fps": 25.0,
        "key": "ab" * 32,
    }
    (data_dir / name).mkdir(parents=True)
    (data_dir / name / MANIFEST).write_text(json.dumps(manifest | changes))


def test_options_do_not_import_torch():
    code = "import sys, vgbench.data.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_decoding_does_not_import_torch():
    code = "import sys, vgbench.data.prepare.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_find_prepared_skips_what_is_not_a_cache(tmp_path):
    make_cache(tmp_path, "sky_64")
    make_cache(tmp_path, "sky_64.tmp-123")
    (tmp_path / "other_64").mkdir()
    assert find_prepared(tmp_path) == {"sky_64": tmp_path / "sky_64"}
    assert find_prepared(tmp_path / "absent") == {}


def test_find_cache_by_short_name_and_by_full_name(tmp_path):
    make_cache(tmp_path, "sky_64")
    make_cache(tmp_path, "sky_train_64")
    assert find_cache("sky", tmp_path, "how").name == "sky_64"
    assert find_cache("sky_64", tmp_path, "how").name == "sky_64"
    assert find_cache("sky_train", tmp_path, "how").name == "sky_train_64"


def test_find_cache_lists_several_resolutions(tmp_path):
    make_cache(tmp_path, "sky_64")
    make_cache(tmp_path, "sky_128")
    with pytest.raises(DataError, match="dataset=sky_128, dataset=sky_64"):
        find_cache("sky", tmp_path, "how")


def test_find_cache_says_how_to_prepare(tmp_path):
    with pytest.raises(DataError) as error:
        find_cache("sky", tmp_path, "vgbench data prepare sky")
    assert str(error.value) == (
        f"dataset 'sky' is not prepared: {tmp_path / 'sky'} does not exist\n"
        "  vgbench data prepare sky"
    )


def test_cache_config_reads_the_manifest(tmp_path):
    make_cache(tmp_path, "sky_64")
    config = cache_config(tmp_path / "sky_64")
    assert (config.resolution, config.frames, config.videos, config.fps) == (64, 40, 3, 25.0)
    assert config.key == "ab" * 32
    assert config.path == str(tmp_path / "sky_64")


def test_manifest_of_another_version_or_damaged(tmp_path):
    make_cache(tmp_path, "new_64", version=CACHE_VERSION + 1)
    with pytest.raises(DataError, match="format version 2"):
        read_manifest(tmp_path / "new_64")
    (tmp_path / "new_64" / MANIFEST).write_text("{")
    with pytest.raises(DataError, match="not a readable cache"):
        read_manifest(tmp_path / "new_64")


def test_shapes_implies_the_demo_budget():
    assert ShapesConfig.budget == "demo"
    assert ShapesConfig.budgets["demo"] == {"dataset": {"resolution": 32}}
