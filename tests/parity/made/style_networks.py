"""StyleGAN2's, StyleGAN-V's and StyleSV's networks once more, as functions of their weights.

Written from the equations with the plain layers of `style_ops`; shares nothing with `vgbench`.
State-dict names are those of the published code.
"""

import math

import torch

from tests.parity.made import style_ops as ops

SQRT2 = math.sqrt(2)
BLUR2D = ops.setup_filter(ops.BLUR)


class Weights:
    """Weights by name: recorded ones, or drawn when they are first asked for.

    Attributes:
        state: All of them so far, in double precision, rounded to single.
        learned: Names of parameters, the others being buffers.
    """

    def __init__(self, state=None, rng=None, prefix="", root=None):
        root = root or self
        self.root, self.prefix = root, prefix
        if root is self:
            self.recorded, self.rng, self.state, self.learned = state, rng, {}, []

    def under(self, name):
        """Returns the weights below `name`."""
        return type(self)(prefix=f"{self.prefix}{name}.", root=self.root)

    def __call__(self, name, *shape, mean=0.0, std=1.0):
        """Returns a parameter."""
        name = self.prefix + name
        value = self._get(name, shape, lambda: mean + std * self.root.rng.standard_normal(shape))
        if name not in self.root.learned:
            self.root.learned.append(name)
            value.requires_grad_()
        return value

    def buffer(self, name, shape, draw):
        """Returns a buffer that training does not change by gradients; `draw` makes a new one."""
        return self._get(self.prefix + name, shape, draw)

    def constant(self, name, value):
        """Stores a buffer that follows from the options; a recorded one must be equal."""
        kept = self._get(self.prefix + name, tuple(value.shape), lambda: value)
        torch.testing.assert_close(kept, value.double(), rtol=1e-5, atol=1e-6, msg=name)

    def _get(self, name, shape, draw):
        root = self.root
        if name not in root.state:
            value = draw() if root.recorded is None else root.recorded[name]
            root.state[name] = torch.as_tensor(value).float().double().clone()
        assert tuple(root.state[name].shape) == tuple(shape), f"{name}: {root.state[name].shape}"
        return root.state[name]


def dense(p, x, out, act="linear", lr_mult=1.0, bias=True, bias_mean=0.0):
    """Returns an equalised fully connected layer."""
    w = p("weight", out, x.shape[-1], std=1 / lr_mult) * (lr_mult / math.sqrt(x.shape[-1]))
    y = x @ w.T
    if bias:
        y = y + p("bias", out, mean=bias_mean / lr_mult, std=0.1 / lr_mult) * lr_mult
    return ops.bias_act(y, None, act)


def unit(x):
    """Returns rows of mean square one."""
    return x / (x.square().mean(-1, keepdim=True) + 1e-8).sqrt()


def mapping(p, z, c, width, layers):
    """Returns styles of latents `z` or None and of conditions `c`, if they have any numbers."""
    parts = [] if z is None else [unit(z)]
    if c is not None and c.shape[1]:
        parts.append(unit(dense(p.under("embed"), c, width)))
    x = torch.cat(parts, 1)
    for i in range(layers):
        x = dense(p.under(f"fc{i}"), x, width, "lrelu", 0.01)
    return x


# Discriminators.


def conv_layer(p, x, out, k, act="lrelu", down=1, gain=1.0, clamp=None, bias=True):
    """Returns an equalised convolution with its activation."""
    p.constant("resample_filter", BLUR2D)
    w = p("weight", out, x.shape[1], k, k) / math.sqrt(x.shape[1] * k * k)
    b = p("bias", out, std=0.1) if bias else None
    y = ops.conv_resample(x, w, BLUR2D, 1, down, k // 2)
    limit = None if clamp is None else clamp * gain
    return ops.bias_act(y, b, act, gain * (SQRT2 if act == "lrelu" else 1), limit)


def shifted(x, frames):
    """Returns maps `(b t)`, an eighth of the channels from the next frame and one from the last."""
    x = x.reshape(-1, frames, *x.shape[1:])
    fold = x.shape[2] // 8
    y = x.clone()
    y[:, :, : 2 * fold] = 0
    y[:, :-1, :fold] = x[:, 1:, :fold]
    y[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
    return y.flatten(0, 1)


def residual(p, x, mid, out, clamp, from_rgb=False, shift=0):
    """Returns a block that halves maps."""
    p.constant("resample_filter", BLUR2D)
    if from_rgb:
        x = conv_layer(p.under("fromrgb"), x, mid, 1, clamp=clamp)
    skip = conv_layer(p.under("skip"), x, out, 1, "linear", 2, math.sqrt(0.5), bias=False)
    x = shifted(x, shift) if shift else x
    x = conv_layer(p.under("conv0"), x, mid, 3, clamp=clamp)
    return skip + conv_layer(p.under("conv1"), x, out, 3, down=2, gain=math.sqrt(0.5), clamp=clamp)


def epilogue(p, x, out, group, clamp):
    """Returns the features of 4x4 maps."""
    n, c = x.shape[:2]
    group = min(group, n)
    std = x.reshape(group, n // group, -1)
    std = ((std - std.mean(0)).square().mean(0) + 1e-8).sqrt().mean(-1)
    x = torch.cat([x, std.repeat(group)[:, None, None, None].expand(n, 1, 4, 4)], 1)
    x = conv_layer(p.under("conv"), x, c, 3, clamp=clamp)
    x = dense(p.under("fc"), x.flatten(1), c, "lrelu")
    return dense(p.under("out"), x, out)


def channels(base, most):
    """Returns the function from a resolution to its channels."""
    return lambda resolution: min(base // resolution, most)


def logits_of(features, condition):
    """Returns the projection of features on a condition."""
    if condition is None:
        return features[:, 0]
    return (features * condition).sum(1) / math.sqrt(condition.shape[1])


def image_discriminator(p, x, c, base, most, layers=8, group=4, clamp=None):
    """Returns logits of images."""
    width, resolution = channels(base, most), x.shape[-1]
    is_first = True
    while resolution > 4:
        block = p.under(f"b{resolution}")
        x = residual(block, x, width(resolution), width(resolution // 2), clamp, is_first)
        resolution, is_first = resolution // 2, False
    condition = None
    if c is not None and c.shape[1]:
        condition = mapping(p.under("mapping"), None, c, width(4), layers)
    out = 1 if condition is None else width(4)
    return logits_of(epilogue(p.under("b4"), x, out, group, clamp), condition)


def time_codes(p, t, longest, uniform):
    """Returns the codes of the distances between frames."""
    octaves = math.ceil(math.log2(longest))
    waves = torch.tensor([math.pi * 2.0**i / 2.0**octaves for i in range(octaves)]).double()
    p.constant("time_encoder.fourier_coefs", waves[None])
    table = p("const_embed.weight", longest, 256)
    gaps = t[:, 1:] - t[:, :-1]
    codes = []
    for gap in gaps.T[:1] if uniform else gaps.T:
        angle = gap[:, None] * waves
        codes += [table[torch.round(gap).long()], torch.sin(angle), torch.cos(angle)]
    return torch.cat(codes, 1)


def video_discriminator(p, x, t, c, o, inside=None):
    """Returns logits of clips `(b t)`.

    Args:
        p: Weights.
        x: Frames.
        t: Their times `b t`.
        c: Labels, zero or more numbers each.
        o: Options by name: base, most, clamp, group, merge_at, divisor, mean, shift, frozen,
            longest, uniform, dummy, first (whether the first frame is a condition).
        inside: Receives codes and conditions by name.
    """
    width, frames = channels(o["base"], o["most"]), t.shape[1]
    others = frames - 1 if o["first"] else frames
    resolution, frozen = x.shape[-1], o["frozen"]
    is_first = True
    while resolution > o["merge_at"]:
        out = width(resolution // 2)
        if resolution // 2 == o["merge_at"] and not o["mean"]:
            out //= o["divisor"]
        shift = frames if o["shift"] and frozen <= 0 else 0
        block = p.under(f"b{resolution}")
        x = residual(block, x, width(resolution), out, o["clamp"], is_first, shift)
        frozen -= 4 if is_first else 3
        resolution, is_first = resolution // 2, False
    x = x.reshape(len(t), frames, *x.shape[1:])
    rest = x[:, frames - others :]
    rest = rest.mean(1) if o["mean"] else rest.flatten(1, 2)
    features = trunk(p, "b", rest, resolution, width, o)
    condition = video_condition(p, t[:, frames - others :], c, width(4), o, inside)
    out = 1 if condition is None else width(4)
    if o["first"]:
        first = trunk(p, "bcond", x[:, 0], resolution, width, o)
        own = epilogue(p.under("b4cond"), first, width(4), o["group"], o["clamp"])
        condition = own if condition is None else torch.cat([condition, own], 1)
        out = condition.shape[1]
    return logits_of(epilogue(p.under("b4"), features, out, o["group"], o["clamp"]), condition)


def trunk(p, prefix, x, resolution, width, o):
    """Returns the 4x4 maps of merged ones."""
    while resolution > 4:
        block = p.under(f"{prefix}{resolution}")
        x = residual(block, x, width(resolution), width(resolution // 2), o["clamp"])
        resolution //= 2
    return x


def video_condition(p, t, c, width, o, inside):
    """Returns what features are multiplied with, or None."""
    known = [] if c is None or not c.shape[1] else [c]
    if t.shape[1] > 1:
        codes = time_codes(p.under("time_encoder"), t, o["longest"], o["uniform"])
        known.append(codes)
        if inside is not None:
            inside["time_emb"] = codes
    if not known:
        return None
    known = torch.cat(known, 1)
    condition = mapping(p.under("mapping"), None, 0 * known if o["dummy"] else known, width, 2)
    if inside is not None:
        inside["cmap"] = condition
    return condition


# StyleGAN2's generators.


def synthesis2(p, start, styles, sizes, noise, maps=None):
    """Returns images of a skip generator.

    Args:
        p: Weights below `synthesis`.
        start: Function from the weights of the first block to its input.
        styles: Function from the number of a layer to its styles.
        sizes: resolution, base, most, clamp.
        noise: Whether the constant noise is added; None for networks without any.
        maps: Receives the output of each block by name.
    """
    resolution, base, most, clamp = sizes
    width, image, layer, size = channels(base, most), None, 0, 4
    while size <= resolution:
        block = p.under(f"b{size}")
        block.constant("resample_filter", BLUR2D)
        x = start(block) if size == 4 else x
        for conv in ("conv1",) if size == 4 else ("conv0", "conv1"):
            up = 2 if conv == "conv0" else 1
            x = styled(block.under(conv), x, styles(layer), width(size), size, up, clamp, noise)
            layer += 1
        rgb = block.under("torgb")
        s = dense(rgb.under("affine"), styles(layer), x.shape[1], bias_mean=1.0)
        weight = rgb("weight", 3, x.shape[1], 1, 1)
        y = ops.modulated2(x, weight, s / math.sqrt(x.shape[1]), demodulate=False)
        y = ops.bias_act(y, rgb("bias", 3, std=0.1), clamp=clamp)
        image = y if image is None else ops.upsample(image, BLUR2D) + y
        if maps is not None:
            maps[f"b{size}"] = x
        size *= 2
    return image


def styled(p, x, w, out, size, up, clamp, noise):
    """Returns a modulated convolution with noise and activation."""
    p.constant("resample_filter", BLUR2D)
    s = dense(p.under("affine"), w, x.shape[1], bias_mean=1.0)
    x = ops.modulated2(x, p("weight", out, x.shape[1], 3, 3), s, BLUR2D, up, 1, 1, flip=up == 1)
    if noise is not None:
        fixed = p.buffer(
            "noise_const", (size, size), lambda: p.root.rng.standard_normal((size, size))
        )
        strength = p("noise_strength", std=0.3)
        x = x + fixed * strength if noise else x
    return ops.bias_act(x, p("bias", out, std=0.1), "lrelu", clamp=clamp)


def truncated(p, w, psi):
    """Returns styles moved towards the mean style."""
    mean = p.buffer("w_avg", w.shape[1:], lambda: 0.3 * p.root.rng.standard_normal(w.shape[1:]))
    return mean + psi * (w - mean)
