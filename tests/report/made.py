"""Rows as evaluations give them, for tests of what is made of them."""

from dataclasses import replace

from vgbench.report.rows import LeaderboardRow, schema

ROW = LeaderboardRow(
    model="g3an",
    dataset="shapes",
    metric="hED16",
    value=0.1 + 0.2,
    ci_lo=None,
    ci_hi=None,
    floor=0.001,
    null_mean=0.0,
    null_sd=0.002,
    null_z=150.0,
    higher_is_better=False,
    protocol_id="hed16/demo@1",
    protocol_hash="abc",
    feature_net="jet",
    feature_net_sha256="",
    weights_identity="handcrafted",
    preprocess_id="yuv601-l3",
    n_real=256,
    n_fake=256,
    n_real_videos=256,
    n_fake_videos=256,
    frames=16,
    stride=1,
    resolution="32x32",
    fps=25.0,
    dataset_fingerprint="f" * 64,
    split="train",
    seed_data=0,
    seed_gen=0,
    seed_train=0,
    ddof=1,
    checkpoint_sha256="c" * 64,
    clips_seen=8000,
    config='{"channels": 8}',
    config_sha256="d" * 64,
    selection="none",
    precision="fp32",
    device="cpu",
    vgbench_version="0.1.0",
    torch_version="2.13.0",
    date="2026-01-01T00:00:00Z",
    note="",
)

# Texts that a name or a note may hold and that must be shown as they are.
NASTY = (
    "<script>alert(1)</script><b>bold</b>",
    '=HYPERLINK("http://x","y")',
    "+1+2",
    "-1",
    "@SUM(A1)",
    "\tcmd",
    "\rcmd",
    " =1",
    "\uff1d1",
    "'quoted",
    "''",
    "a | b || `c` *d* _e_ **f** ~g~ [h](i) ![j](k) \\ # l",
    "1. list",
    "- list",
    "# heading",
    "     code",
    "---",
    "===",
    "2)",
    "line\nbreak\r\nand\x00\x1b[31m more\u2028end",
    "&lt; &#60; $x^2$ :smile: http://a.b www.a.b @user",
    "\u202eright to left",
    "🎬👩‍🔬 ünïcode",
    'a "quoted", cell',
    "x" * 10_000,
    " ",
    "",
)


def made(**changes):
    """Returns a row like `ROW` but for some columns."""
    return replace(ROW, **changes)


def another(name):
    """Returns a value for a column that `ROW` has not there."""
    if name == "config":
        return "{}"
    column = schema()[name]
    values = {int: 7, float: 0.123, str: "other", bool: True}
    return column.choices[-1] if column.choices else values[column.kind]


def many(count):
    """Returns rows of ten methods of which each was trained again and again."""
    return [
        made(
            model=f"method{i % 10}",
            seed_train=i // 10,
            value=1 + i % 10 + (i * 7919 % 101) / 1000,
            checkpoint_sha256=f"{i:064x}",
            config_sha256=f"{i % 10:064x}",
            protocol_id=f"hed16/demo@{1 + i % 3}",
            protocol_hash=f"hash{i % 3}",
        )
        for i in range(count)
    ]
