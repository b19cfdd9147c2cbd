"""Motion codes, StyleSV's and StyleGAN-V's generators once more, as functions of their weights.

See `style_networks`; shares nothing with `vgbench`.
"""

import math

import torch

from tests.parity.made import style_ops as ops
from tests.parity.made.style_networks import SQRT2, dense, mapping, synthesis2, truncated


def conv1d(p, x, out, kernel):
    """Returns an equalised convolution over time without padding, `b l c`, with leaky ReLU."""
    w = p("weight", out, x.shape[2], kernel, std=100.0) * 0.01 / math.sqrt(x.shape[2] * kernel)
    length = x.shape[1] - kernel + 1
    y = sum(x[:, k : k + length] @ w[:, :, k].T for k in range(kernel))
    y = y + p("bias", out, std=10.0) * 0.01
    return torch.where(y > 0, y, 0.2 * y)


def lstm(p, x, width):
    """Returns the outputs of one layer."""
    w_x, w_h = (
        p("weight_ih_l0", 4 * width, x.shape[2]),
        p("weight_hh_l0", 4 * width, width, std=0.3),
    )
    bias = p("bias_ih_l0", 4 * width, std=0.1) + p("bias_hh_l0", 4 * width, std=0.1)
    h = c = x.new_zeros(len(x), width)
    outputs = []
    for step in x.unbind(1):
        i, f, g, o = (step @ w_x.T + h @ w_h.T + bias).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, 1)


def frequencies(count, shortest, longest):
    """Returns angular frequencies from the longest period to the shortest, spaced by log2."""
    steps = torch.arange(count).double() / (count - 1)
    periods = 2 ** (math.log2(longest) + steps * (math.log2(shortest) - math.log2(longest)))
    return 2 * math.pi / periods


def trajectory(p, noise, c, o):
    """Returns the control points of noise `b l z`."""
    if c is not None and c.shape[1]:
        noise = torch.cat([noise, c[:, None].expand(-1, noise.shape[1], -1)], 2)
    if o["strategy"] == "autoregressive":
        return lstm(p.under("rnn"), noise, o["v"])
    x = conv1d(p.under("conv.0"), noise, o["z"], o["kernel"])
    return conv1d(p.under("conv.1"), x, o["v"], o["kernel"])


def motion(p, t, c, noise, o, inside=None):
    """Returns codes `b t d` of times `b t`.

    Args:
        p: Weights of the encoder.
        t: Times in frames.
        c: Labels.
        noise: Noise of the trajectory.
        o: Options by name: z, v, distance, waves, shortest, longest, kernel, strategy, spline,
            blend (whether frequencies follow the spline too), fourier.
        inside: Receives the control points by name.
    """
    points = trajectory(p, noise, c, o)
    number = torch.floor(t / o["distance"])
    a = (t / o["distance"] - number)[..., None]
    rows = torch.arange(len(t))[:, None]
    u = [points[rows, number.long() + k] for k in range(3 if o["spline"] else 2)]
    if inside is not None:
        names = ("u0", "u1", "u2") if o["spline"] else ("u_left", "u_right")
        inside |= {f"motion_{name}": x for name, x in zip(names, u, strict=True)}
    lerp = [1 - a, a]
    blend = [(1 - a) ** 2 / 2, a * (1 - a) + 0.5, a**2 / 2] if o["spline"] else lerp

    def blended(values):
        return sum(b * value for b, value in zip(blend, values, strict=True))

    if not o["fourier"]:
        v = mapping(p.under("mapping"), blended(u).flatten(0, 1), None, o["v"], 2)
        return v.reshape(*t.shape, -1)
    q = p.under("time_encoder")
    waves = frequencies(o["waves"], o["shortest"], o["longest"])
    scales = waves * o["longest"] / (2 * math.pi)
    q.constant("freqs", waves[None])
    q.constant("phase_scales", scales[None])

    def linear(name, x, width):
        return dense(q.under(name), x, width, bias=False)

    def both(x):
        pace = 1 + torch.tanh(linear("periods_predictor", x, o["waves"]))
        return pace, linear("phase_predictor", x, o["waves"])

    paces, phases = zip(*[both(x) for x in u], strict=True)
    pace, phase = (blended(paces), blended(phases)) if o["blend"] else (paces[0], phases[0])
    aligned = blended([linear("aligners_predictor", x, 2 * o["waves"]) for x in u])

    def wave(time):
        angle = waves * pace * time[..., None] + phase * scales
        return torch.cat([torch.sin(angle), torch.cos(angle)], -1)

    if o["blend"]:
        return wave(t) + aligned
    left = number * o["distance"]
    return wave(t) - (lerp[0] * wave(left) + lerp[1] * wave(left + o["distance"])) + aligned


def layer_table(resolution, o):
    """Returns the bands of StyleGAN3's layers as records, the input's first."""
    n, critical = o["num_layers"], 2
    last = (resolution / 2, resolution / 2 * 2**0.3)
    first = (2.0, 2**2.1)
    bands = []
    for i in range(n + 1):
        e = min(i / (n - critical), 1)
        cutoff, stop = (f * (x / f) ** e for f, x in zip(first, last, strict=True))
        rate = 2 ** math.ceil(math.log2(min(2 * stop, resolution)))
        half = max(stop, rate / 2) - cutoff
        width = round(min(o["channel_base"] / 2 / cutoff, o["channel_max"]))
        size = resolution if i >= n - 1 else rate + 20
        bands.append(
            {"cutoff": cutoff, "half": half, "rate": rate, "size": size, "channels": width}
        )
    bands[-1]["channels"] = 3
    return bands


def alias_free(p, x, w, v, before, after, rgb, o, update=False):
    """Returns the output of one layer of StyleGAN3, with StyleSV's second weight."""
    k, width = (1, after["channels"]) if rgb else (3, after["channels"])
    magnitude = p.buffer("magnitude_ema", (), lambda: p.root.rng.uniform(0.7, 1.5))
    if update:
        magnitude = 0.999 * magnitude + 0.001 * x.detach().square().mean()
        p.root.updated.append(magnitude)
    s = dense(p.under("affine"), w, x.shape[1], bias_mean=1.0)
    s = s / math.sqrt(x.shape[1] * k * k) if rgb else s
    second = None
    if o["low_rank"]:
        # The published code leaves out the gain of the last layer here.
        temporal = dense(p.under("affine_t"), v, x.shape[1], bias_mean=1.0)
        w1 = p("w1", width, o["low_rank"], k, k)
        second = (w1, p("w2", o["low_rank"], x.shape[1], k, k), temporal)
    weight = p("weight", width, x.shape[1], k, k)
    y = ops.modulated3(x, weight, s, k - 1, not rgb, 1 / magnitude.sqrt(), second)
    inner = max(before["rate"], after["rate"]) * (1 if rgb else 2)
    up, down = inner // before["rate"], inner // after["rate"]
    fu = kaiser(p, "up_filter", up, before, inner, rgb)
    fd = kaiser(p, "down_filter", down, after, inner, rgb)
    taps = sum(1 if f is None else len(f) for f in (fu, fd))
    pad = (after["size"] - 1) * down + 1 - (before["size"] + k - 1) * up + taps - 2
    pads = ((pad + up) // 2, pad - (pad + up) // 2) * 2
    gain, slope = (1.0, 1.0) if rgb else (SQRT2, 0.2)
    b = p("bias", width, std=0.1)
    return ops.filtered_lrelu(y, fu, fd, b, up, down, pads, gain, slope, o["clamp"])


def kaiser(p, name, factor, band, inner, rgb):
    """Returns the filter for a factor; none for the last layer."""
    if factor == 1 or rgb:
        return None
    f = ops.lowpass(6 * factor, band["cutoff"], 2 * band["half"], inner)
    p.constant(name, f)
    return f


def fourier_input(p, w, v, mask, band, o):
    """Returns StyleGAN3's input map, moved by the motion."""
    c, size, rate, cutoff = (band[key] for key in ("channels", "size", "rate", "cutoff"))
    rng = p.root.rng
    freqs = p.buffer("freqs", (c, 2), lambda: rng.uniform(-cutoff, cutoff, (c, 2)) * 0.7)
    phases = p.buffer("phases", (c,), lambda: rng.uniform(-0.5, 0.5, c))
    p.constant("transform", torch.eye(3))
    start = torch.tensor([1.0, 0, 0, 0]).double()
    affine = p.under("affine")
    weight = affine("weight", 4, w.shape[1], std=0.1) / math.sqrt(w.shape[1])
    m = w @ weight.T + affine("bias", 4, mean=start.numpy(), std=0.1)
    m = m / torch.hypot(m[:, 0], m[:, 1])[:, None]
    along = (torch.arange(size).double() - (size - 1) / 2) / rate
    y, x = torch.meshgrid(along, along, indexing="ij")
    maps = []
    for cos, sin, t_x, t_y in m:
        # Where each pixel lies once the picture is moved and then turned.
        moved_x, moved_y = x - t_x, y - t_y
        place = torch.stack([cos * moved_x - sin * moved_y, sin * moved_x + cos * moved_y])
        wave = torch.einsum("cd,dhw->chw", freqs, place) + phases[:, None, None]
        turned = torch.stack([freqs[:, 0] * cos + freqs[:, 1] * sin,
                              freqs[:, 1] * cos - freqs[:, 0] * sin], 1)  # fmt: skip
        excess = (turned.norm(dim=1) - cutoff) / (rate / 2 - cutoff)
        fade = (1 - excess).clamp(0, 1)
        maps.append(torch.sin(2 * math.pi * wave) * fade[:, None, None])
    mixing = p("weight", c, c) / math.sqrt(c)
    out = torch.einsum("oc,nchw->nohw", mixing, torch.stack(maps))
    shift = dense(p.under("motion_affine"), v, c, bias_mean=1.0)
    shift = shift * mask if o["add"] else shift
    return out + shift[:, :, None, None]


def stylesv(p, z, t, c, noise, psi, resolution, o, update=False):
    """Returns images `(b t)`, styles, motion codes and maps by layer.

    Args:
        p: Weights.
        z: Latents.
        t: Times `b t`.
        c: Labels.
        noise: Noise of the motion.
        psi: Truncation.
        resolution: Of the images.
        o: Options by name: w, num_layers, channel_base, channel_max, clamp, low_rank, add,
            learned_mask, motion.
        update: Whether running averages take this batch into account first.
    """
    frames, p.updated, maps = t.shape[1], [], {}
    w = mapping(p.under("mapping"), z, c, o["w"], 2)
    m, s = p.under("mapping"), p.under("synthesis")
    styles = truncated(m, w, psi)
    if update:
        mean = 0.998 * p.state["mapping.w_avg"] + 0.002 * w.detach().mean(0)
        p.averaged = mean
        styles = mean + psi * (w - mean)
    v = motion(s.under("motion_encoder"), t, c, noise, o["motion"]).flatten(0, 1)
    width = v.shape[1]
    if o["learned_mask"]:
        mask = s("motion_mask", 1, width)
    else:
        mask = s.buffer("motion_mask", (1, width), lambda: p.rng.standard_normal((1, width)))
    masked = v * mask
    each = styles.repeat_interleave(frames, 0)
    bands = layer_table(resolution, o)
    x = fourier_input(s.under("input"), each, masked, mask, bands[0], o)
    maps["input"] = x
    if o["add"]:
        fused = each + masked
    else:
        fused = dense(s.under("affine_w"), torch.cat([each, masked], 1), o["w"], bias_mean=1.0)
    for i, after in enumerate(bands):
        rgb = i == len(bands) - 1
        name = f"L{i}_{after['size']}_{after['channels']}"
        layer = s.under(name)
        x = alias_free(layer, x, fused, masked, bands[max(i - 1, 0)], after, rgb, o, update)
        maps[name] = x
    return 0.25 * x, styles, v, maps


def stylegan_v(p, z, t, c, noise, psi, resolution, o):
    """Returns images `(b t)`, styles, motion codes and maps by block; arguments as `stylesv`."""
    frames, maps, s = t.shape[1], {}, p.under("synthesis")
    styles = truncated(p.under("mapping"), mapping(p.under("mapping"), z, c, o["w"], 2), psi)
    v = motion(s.under("motion_encoder"), t, c, noise, o["motion"]).flatten(0, 1)
    each = styles.repeat_interleave(frames, 0)
    width = min(o["channel_base"] // 4, o["channel_max"])

    def start(block):
        if o["condition"] != "concat_const":
            return block("input.input", width, 4, 4).expand(len(v), -1, -1, -1)
        const = block("input.input.const", 1, width, 4, 4).expand(len(v), -1, -1, -1)
        return torch.cat([const, v[:, :, None, None].expand(-1, -1, 4, 4)], 1)

    if o["condition"] == "concat_w":
        each = torch.cat([each, v], 1)
    elif o["condition"] == "sum_w":
        each = each + v
    sizes = (resolution, o["channel_base"], o["channel_max"], o["clamp"])
    noise_of_pixels = True if o["use_noise"] else None
    images = synthesis2(s, start, lambda _: each, sizes, noise_of_pixels, maps)
    return images, styles, v, maps
