"""A model of single frames from the command line: run, eval, sample."""

import json

from PIL import Image

WORDS = [
    "model=stylegan3-frames",
    "dataset=shapes",
    "dataset.videos=24",
    "model.channel_base=128",
    "model.channel_max=8",
    "model.num_layers=3",
    "model.margin=1",
    "budget.batch_size=4",
    "trainer.accelerator=cpu",
]


def test_run_eval_and_sample(vgbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = vgbench("run", *WORDS, "budget.kclips=0.008", "--run-dir", tmp_path / "run")
    assert code == 0
    assert "1 frames, image" in out
    code, out, _ = vgbench("eval", tmp_path / "run", "-o", tmp_path / "rows.json")
    assert code == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["metric"] for row in rows] == ["hED1", "hFD1"]
    code, _, err = vgbench("eval", tmp_path / "run", "--protocol", "hed16/demo")
    assert code == 7
    assert err == (
        "error: protocol hed16/demo@2 takes 16 frames of a generated video; 'stylegan3-frames' "
        "draws at most 1\n  protocols of single frames: hed1, hfd1 (no weights needed), fid, kid\n"
    )
    code, out, _ = vgbench("sample", tmp_path / "run", "-n", "6")
    assert code == 0
    assert "wrote 6 videos of 1 frame to sample.png" in out
    # two columns and three rows of 32 pixels, two between neighbours
    assert Image.open(tmp_path / "sample.png").size == (66, 100)


def test_a_learning_rate_of_one_ends_with_exit_code_6(vgbench, tmp_path):
    rates = ["model.lr_g=1", "model.lr_d=1", "budget.kclips=1"]
    code, _, err = vgbench("run", *WORDS, *rates, "--run-dir", tmp_path / "run")
    assert code == 6
    assert "the checkpoint before it is" in err
    assert (tmp_path / "run/checkpoints/last.ckpt").is_file()
