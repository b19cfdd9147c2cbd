import re
from pathlib import Path

import pytest

from vgbench.config.catalog import cache_path
from vgbench.config.listing import dataset_rows
from vgbench.config.presets import Preset, cache_folder, find_preset, prepare_command, presets
from vgbench.data.prepare.options import Options
from vgbench.errors import DataError, UnknownNameError

# The table of the literature: resolution, shortest video, pieces, step.
TABLE = {
    "sky_timelapse_256": (256, 16, 0, 1),
    "taichi_hd_256": (256, 128, 0, 1),
    "taichi_hd_128_s4": (128, 32, 0, 4),
    "ffs_256": (256, 300, 0, 1),
    "ffs_256_wide": (256, 300, 0, 1),
    "deeperforensics_256": (256, 128, 0, 1),
    "youtube_driving_256": (256, 128, 512, 1),
    "celebv_hq_256": (256, 16, 0, 1),
    "ucf101_256": (256, 16, 0, 1),
    "ucf101_128": (128, 16, 0, 1),
    "ucf101_64": (64, 16, 0, 1),
    "uva_nemo_64": (64, 48, 0, 1),
    "uva_nemo_128": (128, 48, 0, 1),
    "mug_64": (64, 48, 0, 1),
    "weizmann_64": (64, 16, 0, 1),
    "rainbow_jelly_256": (256, 512, 512, 1),
    "mead_front_1024": (1024, 16, 0, 1),
    "ravdess_512": (512, 30, 0, 1),
    "voxceleb_256": (256, 64, 0, 1),
}


def test_the_table():
    known = presets()
    assert {n: (p.resolution, p.min_frames, p.chunk, p.stride) for n, p in known.items()} == TABLE


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.name)
def test_each_says_all_that_a_user_must_know(preset: Preset):
    for field in ("about", "home", "licence", "folder", "split", "mirror"):
        assert getattr(preset, field), field
    assert preset.used_by
    Options(**preset.prepare_options).check()
    command = prepare_command(preset.name)
    assert command == f"vgbench data prepare {preset.name} --from /path/to/{preset.folder}"


def test_names():
    assert find_preset("sky") is find_preset("sky_timelapse_256")
    assert find_preset("mine") is None
    assert prepare_command("sky") == "vgbench data prepare sky --from /path/to/sky_timelapse"
    assert prepare_command("mine_32").endswith("prepare mine --from /path/to/mine --resolution 32")
    assert cache_folder("sky_timelapse_256", None) == "sky_timelapse_256"
    assert cache_folder("sky", 64) == "sky_64"
    assert cache_folder("mine_64", 64) == "mine_64"
    aliases = [alias for preset in presets().values() for alias in preset.aliases]
    assert len({*aliases, *presets()}) == len(aliases) + len(presets())


def test_not_prepared_says_how(tmp_path):
    with pytest.raises(DataError) as error:
        cache_path("sky", tmp_path)
    assert str(error.value) == (
        f"dataset 'sky' is not prepared: {tmp_path / 'sky'} does not exist\n"
        "  vgbench data prepare sky --from /path/to/sky_timelapse"
    )


def test_almost_a_preset(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'sky_timelapse_256'\?"):
        cache_path("sky_timelaps_256", tmp_path)
    with pytest.raises(DataError, match=r"vgbench data prepare pets --from .* --resolution 64"):
        cache_path("pets_64", tmp_path)


def make_cache(folder: Path):
    folder.mkdir()
    (folder / "vgcache.json").write_text(
        '{"version": 1, "resolution": 256, "videos": 3, "fps": 25.0, "key": "k", "longest": 40}'
    )


def test_a_preset_is_found_by_any_of_its_names(tmp_path):
    make_cache(tmp_path / "sky_timelapse_256")
    assert cache_path("sky", tmp_path).name == "sky_timelapse_256"
    make_cache(tmp_path / "sky")
    assert cache_path("sky", tmp_path).name == "sky"


def test_rows(tmp_path):
    make_cache(tmp_path / "sky")
    make_cache(tmp_path / "mine_256")
    (tmp_path / "broken_64").mkdir()
    (tmp_path / "broken_64" / "vgcache.json").write_text("{")
    rows = {row["dataset"]: row for row in dataset_rows(tmp_path)}
    assert rows["shapes"]["kind"] == "built in"
    assert rows["mine_256"]["about"] == "3 videos, 256x256, 25 fps"
    assert rows["sky"]["kind"] == "prepared"
    assert "sky_timelapse_256" not in rows
    assert rows["ucf101_64"]["kind"] == "preset"
    assert re.search("is not a readable cache", rows["broken_64"]["about"])
