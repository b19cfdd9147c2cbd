"""The second implementations that write our own parity files reproduce the recorded ones."""

import pytest
import torch

from tests.parity.conftest import read, under
from tests.parity.made import style_discriminators, style_primitives
from tests.parity.made.style_meta import generator_options, motion_options
from tests.parity.made.style_motion import motion, stylegan_v, stylesv
from tests.parity.made.style_networks import (
    Weights,
    image_discriminator,
    mapping,
    synthesis2,
    truncated,
    video_discriminator,
)

pytestmark = pytest.mark.slow

# They are in double precision, so what remains is the rounding of the recorded numbers; sine
# arguments of hundreds of radians lose more of it.
CLOSE, MOTION = 2e-5, 2e-4


@pytest.fixture
def files(parity_dir):
    """Returns a function from a name to (arrays, meta) of a recorded file.

    The folder of the reference networks has them all: one that is missing there is a failure.
    Other folders, of other sizes, are for the tests of vgbench itself.
    """
    if not (parity_dir / "README.md").is_file():
        pytest.skip(f"{parity_dir} is not the folder of recorded tensors; give --parity-dir DIR")
    return lambda name: read(parity_dir / f"{name}.npz")


def tensors(arrays, prefix, double=True):
    """Returns the entries below a prefix as tensors."""
    found = {name: torch.tensor(value) for name, value in under(arrays, prefix).items()}
    return {name: v.double() if double else v for name, v in found.items()}


def assert_close(name, got, want, tolerance=CLOSE):
    want = torch.as_tensor(want).double()
    error = (got.reshape(want.shape) - want).abs().max() / max(1, want.abs().max())
    assert error <= tolerance, f"{name}: {float(error):.1e}"


def test_layers(files):
    arrays, meta = files("stylesv_primitives")
    for case, options in meta.items():
        entries = tensors(arrays, f"{case}/", double=False)
        results = {k for k in entries if k in ("y", "gy") or (k[0] == "g" and k[1:] in entries)}
        inputs = {k: v for k, v in entries.items() if k not in results}
        got = style_primitives.compute(case.split("/")[0], options, inputs, entries.get("gy"))
        for name, value in got.items():
            if value.numel():
                assert_close(f"{case}/{name}", value, entries[name])


@pytest.mark.parametrize("name", ["stylesv_D", "stylesv_sgv_D"])
def test_video_discriminators(files, name):
    arrays, meta = files(name)
    for case, options in meta.items():
        p = Weights(tensors(arrays, f"{case}/state/"))
        out, grads = style_discriminators.compute(p, options, tensors(arrays, f"{case}/in/"))
        assert sum(g.numel() for g in grads.values()) == options["n_params"], case
        for key, want in under(arrays, f"{case}/out/").items():
            assert_close(f"{case}/{key}", out[key], want)
        for key, want in under(arrays, f"{case}/grad/").items():
            assert_close(f"{case}/{key}", grads[key], want)


@pytest.mark.parametrize("name", ["stylesv_motion", "stylesv_sgv_motion"])
def test_motion_codes(files, name):
    arrays, meta = files(name)
    for case in [case for case in meta if "cls" in meta[case]]:
        given, p = tensors(arrays, f"{case}/in/"), Weights(tensors(arrays, f"{case}/state/"))
        o = motion_options(meta[case]["cfg"], "BSpline" in meta[case]["cls"])
        v = motion(p, given["t"], given["c"], given["motion_z"], o)
        assert_close(case, v, arrays[f"{case}/out/motion_v"], MOTION)


@pytest.mark.parametrize(
    ("name", "render"), [("stylesv_G", stylesv), ("stylesv_sgv_G", stylegan_v)]
)
def test_generators(files, name, render):
    arrays, meta = files(name)
    for case, options in meta.items():
        given, p = tensors(arrays, f"{case}/in/"), Weights(tensors(arrays, f"{case}/state/"))
        o = generator_options(options, render is stylesv)
        inputs = [given[key] for key in ("z", "t", "c", "motion_z")]
        with torch.no_grad():
            images, ws, v, maps = render(p, *inputs, options["truncation_psi"], options["res"], o)
        assert list(maps) == options["layer_names"]
        for key, got in {"img": images, "ws": ws, "motion_v": v}.items():
            assert_close(f"{case}/{key}", got, arrays[f"{case}/out/{key}"], MOTION)


@torch.no_grad()
def test_image_networks(files):
    arrays, meta = files("styleinv_sg2")
    given, o = tensors(arrays, "in/"), meta["G"]
    g, d = Weights(tensors(arrays, "sd/G.")), Weights(tensors(arrays, "sd/D."))
    w = mapping(g.under("mapping"), given["z"], None, o["w_dim"], o["mapping_num_layers"])
    assert_close("ws", w, arrays["out/ws"])
    assert_close("ws_trunc07", truncated(g.under("mapping"), w, 0.7), arrays["out/ws_trunc07"])
    width, sizes = (
        min(o["channel_base"] // 4, o["channel_max"]),
        (o["channel_base"], o["channel_max"]),
    )
    for noise in (True, False):
        images = synthesis2(
            g.under("synthesis"),
            lambda block: block("const", width, 4, 4).expand(len(w), -1, -1, -1),
            lambda _: w,
            (o["img_resolution"], *sizes, None),
            noise,
        )
        name = "img_const" if noise else "img_none"
        assert_close(name, images, arrays[f"out/{name}"])
    assert_close(
        "logits_x", image_discriminator(d, given["x"], None, *sizes), arrays["out/logits_x"]
    )


@torch.no_grad()
def test_discriminators_of_styleinv(files):
    arrays, meta = files("styleinv_video_d")
    args, cfg, given = meta["args"], meta["cfg"], tensors(arrays, "in/")
    o = {"base": args["channel_base"], "most": args["channel_max"], "clamp": None, "frozen": 0}
    o |= {"group": args["mbstd_group_size"], "merge_at": cfg["concat_res"], "mean": False}
    o |= {"divisor": cfg["num_frames_div_factor"], "shift": False, "uniform": False}
    o |= {"longest": cfg["sampling"]["max_num_frames"], "dummy": cfg["dummy_c"]}
    t = given["t"] * (o["longest"] - 1)
    for prefix, first, name in (("D", False, "logits"), ("DF", True, "logits_ffc")):
        p = Weights(tensors(arrays, f"sd/{prefix}."))
        logits = video_discriminator(p, given["x"], t, None, o | {"first": first})
        assert_close(name, logits, arrays[f"out/{name}"])
