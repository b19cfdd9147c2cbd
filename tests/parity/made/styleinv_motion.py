"""Files `styleinv_motion_*.npz`: motion codes one time at a time, in NumPy, float64."""

import math

import numpy as np

from tests.parity.made.files import save

DEFAULT = {"z_dim": 5, "v_dim": 7, "motion_z_distance": 8, "kernel_size": 5, "dim": 6,
           "min_period_len": 12, "max_period_len": 64, "frames": 40, "w_dim": 9, "content_dim": 4,
           "layers_after_fuse": 2, "concat_content": True, "gen_strategy": "conv"}  # fmt: skip
SMALL = {
    "small": {},
    "small_even": {"kernel_size": 4, "concat_content": False, "layers_after_fuse": 3},
    "small_noffa": {"gen_strategy": "abl_no_ffa", "kernel_size": 3, "layers_after_fuse": 1},
}
LARGE = {"slow": {"motion_z_distance": 64, "min_period_len": 16, "max_period_len": 512}}
TIMES = np.array([[0, 1.5, 7, 8, 31.25, 100], [0, 2, 16, 16.5, 39, 77.75]])
TIME_KEYS = ("min_period_len", "max_period_len", "dim")


def drawn(case, seed):
    """The state dict of a `MappingFuse`, float32."""
    random = np.random.RandomState(seed)
    z, v, k, f = (case[n] for n in ("z_dim", "v_dim", "kernel_size", "dim"))
    width = 2 * f + (case["content_dim"] if case["concat_content"] else 0)
    encoder, time = "motion_encoder", "motion_encoder.time_encoder"
    shapes = {
        f"{encoder}.conv.0.weight": (z, z, k),
        f"{encoder}.conv.0.bias": (z,),
        f"{encoder}.conv.1.weight": (v, z, k),
        f"{encoder}.conv.1.bias": (v,),
        f"{time}.periods_predictor.weight": (f, v),
        f"{time}.phase_predictor.weight": (f, v),
        f"{time}.aligners_predictor.weight": (2 * f, v),
    }
    if case["gen_strategy"] == "conv":
        shapes[f"{encoder}.frame_0_const"] = (z,)
    for i in range(case["layers_after_fuse"]):
        shapes |= {f"fcf{i}.weight": (case["w_dim"], width), f"fcf{i}.bias": (case["w_dim"],)}
        width = case["w_dim"]
    scaled = (".conv.", "fcf")
    state = {
        name: random.standard_normal(shape) * (100 if any(s in name for s in scaled) else 1)
        for name, shape in shapes.items()
    }
    shortest, longest = case["min_period_len"], case["max_period_len"]
    steps = np.linspace(0, 1, f)
    periods = longest ** (1 - steps) * shortest**steps
    state[f"{time}.freqs"] = 2 * np.pi / periods[None]
    state[f"{time}.phase_scales"] = longest / periods[None]
    return {name: value.astype(np.float32) for name, value in state.items()}


def points(state, case, z):
    """Control points of one video."""
    aware = case["gen_strategy"] == "conv"
    if aware:
        z = np.concatenate([state["motion_encoder.frame_0_const"][None], z[1:]])
    k = case["kernel_size"]
    for i in (0, 1):
        weight, bias = (state[f"motion_encoder.conv.{i}.{n}"] for n in ("weight", "bias"))
        scale, rows = 0.01 / math.sqrt(z.shape[1] * k), []
        for at in range(len(z) if aware else len(z) - k + 1):
            row = 0.01 * bias
            for tap in range(k // 2 + 1 if aware else k):
                source = at + tap - k // 2 if aware else at + tap
                row = row + (scale * weight[:, :, tap] @ z[source] if source >= 0 else 0)
            rows.append(np.where(row > 0, row, 0.2 * row))
        z = np.array(rows)
    return z


def code(state, case, u, t):
    """The motion code at one time, and what it is made of."""
    time, distance = "motion_encoder.time_encoder", case["motion_z_distance"]
    left, root = int(t // distance), math.sqrt(u.shape[1])
    a, b, share = u[left], u[left + 1], t / distance - left
    speed = state[f"{time}.freqs"][0] * (
        1 + np.tanh(state[f"{time}.periods_predictor.weight"] @ a / root)
    )
    phase = state[f"{time}.phase_scales"][0] * (state[f"{time}.phase_predictor.weight"] @ a / root)

    def waves(moment):
        return np.concatenate([np.sin(speed * moment + phase), np.cos(speed * moment + phase)])

    start, end = left * distance, (left + 1) * distance
    kept = state[f"{time}.aligners_predictor.weight"] @ ((1 - share) * a + share * b) / root
    v = waves(t) - (1 - share) * waves(start) - share * waves(end) + kept
    return v, {"motion_u_left": a, "motion_u_right": b, "t_left": np.array(start),
               "t_right": np.array(end), "interp_weights": np.array([share])}  # fmt: skip


def style(state, case, content, v):
    x = np.concatenate([content, v]) if case["concat_content"] else v
    for i in range(case["layers_after_fuse"]):
        weight, bias = state[f"fcf{i}.weight"], state[f"fcf{i}.bias"]
        x = 0.01 * (weight @ x / math.sqrt(len(x)) + bias)
        x = np.where(x > 0, x, 0.2 * x) * math.sqrt(2)
    return x


def described(case):
    """The published form of the options."""
    motion = {name: case[name] for name in ("z_dim", "v_dim", "motion_z_distance", "gen_strategy",
                                            "kernel_size")}  # fmt: skip
    motion |= {"type": "acyclic_pe", "fourier": True, "use_fractional_t": True}
    motion["time_enc"] = {name: case[name] for name in TIME_KEYS}
    names = ("w_dim", "content_dim", "layers_after_fuse", "concat_content")
    rest = {"c_dim": 0, "lr_multiplier": 0.01, "sampling": {"max_num_frames": case["frames"]}}
    return {name: case[name] for name in names} | rest | {"motion": motion}


def write(folder, small):
    """Writes a file for each case."""
    for seed, (name, options) in enumerate((SMALL if small else SMALL | LARGE).items()):
        case = DEFAULT | options
        random, state32 = np.random.RandomState(100 + seed), drawn(case, seed)
        state = {key: value.astype(np.float64) for key, value in state32.items()}
        length = math.ceil(max(case["frames"] - 1, TIMES.max()) / case["motion_z_distance"]) + 2
        if case["gen_strategy"] != "conv":
            length += 2 * (case["kernel_size"] - 1)
        z, other = random.standard_normal((2, len(TIMES), length, case["z_dim"])).astype("f4")
        content = random.standard_normal((len(TIMES), case["content_dim"])).astype("f4")
        found = {"motion_v_other_noise": []}
        for b, times in enumerate(TIMES):
            u = points(state, case, z[b].astype(float))
            rows = [code(state, case, u, t) for t in times]
            found.setdefault("motion_v", []).append([v for v, _ in rows])
            for key in rows[0][1]:
                found.setdefault(key, []).append([parts[key] for _, parts in rows])
            u = points(state, case, other[b].astype(float))
            found["motion_v_other_noise"].append([code(state, case, u, t)[0] for t in times])
        pairs = [(b, i) for i in range(TIMES.shape[1]) for b in range(len(TIMES))]
        found["styles_tb"] = [style(state, case, content[b], found["motion_v"][b][i])
                              for b, i in pairs]  # fmt: skip
        arrays = {f"sd/{key}": value for key, value in state32.items()}
        arrays |= {f"out/{key}": np.array(value, dtype=np.float32) for key, value in found.items()}
        arrays |= {"in/motion_z": z, "in/motion_z_other": other, "in/wc": content}
        arrays["in/t"] = TIMES.astype(np.float32)
        arrays["in/Ts"] = (TIMES / (case["frames"] - 1)).astype(np.float32)[..., None]
        meta = {"cls": "own", "cfg": described(case), "traj_len": length}
        save(folder / f"styleinv_motion_{name}.npz", arrays, meta)
