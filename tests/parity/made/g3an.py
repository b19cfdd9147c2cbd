"""Files `g3an_*.npz`: everything in float64 from the networks of `g3an_networks`."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.parity import draws
from tests.parity.made import g3an_networks as networks
from tests.parity.made.files import save

WHOLE = 40_000  # activations of more numbers are thinned out


@dataclass(frozen=True)
class Options:
    """Sizes and options of one file; the names are those of its `meta`."""

    c_a: int
    c_m: int
    ch_g: int
    ch_d: int
    mode: str
    use_attention: bool
    frames: int
    size: int
    batch: int
    long_tm: tuple[int, ...]
    alt: tuple[dict, ...] = ()
    steps: int = 2


def alternative(name, mode, use_attention, ch):
    """Returns one entry of `alt`."""
    return {"name": name, "mode": mode, "use_attention": use_attention, "ch": ch}


SMALL = {
    # 32x32 with attention, other widths in generator and discriminators.
    "g3an_small32": Options(
        c_a=5, c_m=3, ch_g=4, ch_d=3, mode="2p1d", use_attention=True, frames=16, size=32,
        batch=2, long_tm=(2,), alt=(alternative("both", "3d", False, 2),), steps=1,
    ),
    # No attention, one kernel for time and space, 20 frames, no other networks.
    "g3an_small16": Options(
        c_a=7, c_m=2, ch_g=2, ch_d=4, mode="3d", use_attention=False, frames=20, size=16,
        batch=3, long_tm=(2, 4), steps=3,
    ),
}  # fmt: skip
LARGE = {
    "g3an_wide64": Options(
        c_a=16, c_m=10, ch_g=4, ch_d=6, mode="3d", use_attention=True, frames=16, size=64,
        batch=3, long_tm=(5, 2),
        alt=(alternative("1p2d", "1p2d", True, 2), alternative("bare", "2p1d", False, 3)),
    ),
    "g3an_bare64": Options(
        c_a=32, c_m=6, ch_g=3, ch_d=2, mode="1p2d", use_attention=False, frames=16, size=64,
        batch=4, long_tm=(29,), alt=(alternative("2p1d", "2p1d", True, 2),),
    ),
    "g3an_128": Options(
        c_a=8, c_m=4, ch_g=1, ch_d=1, mode="1p2d", use_attention=True, frames=16, size=128,
        batch=2, long_tm=(1,), steps=1,
    ),
}  # fmt: skip


def normal(rng, *shape):
    """Returns float64 normal numbers that float32 holds exactly."""
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32)).double()


def randomise(network, rng):
    """Draws all parameters; singular vectors are close to converged, but not quite."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            scale, offset = {"gamma": (1, 0), "bias": (0.1, 0)}.get(name, (0.1, 0))
            if isinstance(module, nn.BatchNorm3d):
                scale, offset = 0.2, float(name == "weight")
            parameter.data = offset + scale * normal(rng, *parameter.shape)
        if hasattr(module, "weight_orig"):
            axis = int(isinstance(module, nn.ConvTranspose3d))
            matrix = module.weight_orig.detach().transpose(0, axis).flatten(1)
            u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
            for buffer, vector in ((module.weight_u, u[:, 0]), (module.weight_v, vh[0])):
                noisy = vector + 0.1 * normal(rng, len(vector)) / len(vector) ** 0.5
                buffer.copy_(F.normalize(noisy, dim=0))


def calibrate(generator, codes, rng):
    """Sets running statistics near those of `codes`, so that signals reach the output."""
    state = {k: v.clone() for k, v in generator.state_dict().items()}
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        generator.train()(*codes)
    for name, value in generator.state_dict().items():
        if name.endswith("running_mean"):
            state[name] = value + 0.1 * normal(rng, *value.shape)
        elif name.endswith("running_var"):
            state[name] = value * (0.3 * normal(rng, *value.shape)).exp()
    return state


def rounded(state):
    """Returns the state with every number rounded to float32, kept as float64."""
    return {k: v.float().double() if v.is_floating_point() else v for k, v in state.items()}


class Maker:
    """One file in the making."""

    def __init__(self, options, seed):
        self.options, self.rng, self.arrays = options, np.random.default_rng(seed), {}
        o = options
        self.build = {
            "G": lambda: networks.Generator(o.c_a, o.c_m, o.ch_g, o.size, o.mode, o.use_attention),
            "VD": lambda: networks.video_discriminator(o.size, o.frames, o.ch_d),
            "ID": lambda: networks.image_discriminator(o.size, o.ch_d),
        }
        self.za = self.put("in/za", normal(self.rng, o.batch, o.c_a, 1, 1, 1))
        motion = o.frames // 4 - 3
        self.zm = self.put("in/zm", normal(self.rng, o.batch, o.c_m, motion, 1, 1))
        clips = [draws.video(seed + i, o.frames, o.size, o.size) for i in range(o.batch)]
        self.arrays["in/real_u8"] = np.stack(clips).transpose(0, 4, 1, 2, 3)
        self.real = torch.from_numpy(self.arrays["in/real_u8"]).double() / 127.5 - 1
        self.states = {name: self.initial(name) for name in self.build}

    def put(self, key, value):
        """Stores a tensor as float32 and returns it."""
        array = np.asarray(value.detach())
        self.arrays[key] = array.astype(np.float32) if array.dtype == np.float64 else array
        return value

    def put_state(self, prefix, state):
        for key, value in state.items():
            self.put(prefix + key, value.clone())

    def initial(self, name, build=None):
        """Stores and returns the initial state of a network."""
        network = (build or self.build[name])().double()
        randomise(network, self.rng)
        state = network.state_dict()
        if isinstance(network, networks.Generator):
            state = calibrate(network, (self.za, self.zm), self.rng)
        state = rounded(state)
        self.put_state(f"{name}/", state)
        return state

    def fresh(self, name):
        """Returns a network in its initial state."""
        network = self.build[name]().double()
        network.load_state_dict(self.states[name], strict=True)
        return network

    def generator_eval(self):
        network, seen = self.fresh("G").eval(), {}
        for name in network.blocks:
            network.get_submodule(name).register_forward_hook(
                lambda _, args, out, name=name: seen.update(
                    {f"{name}_{k}": x for k, x in zip("svt", out, strict=True)}
                )
            )
        if self.options.use_attention:
            network.fsa.tsa.register_forward_hook(lambda _, a, out: seen.update(tsa_v=out))
            network.fsa.register_forward_hook(lambda _, a, out: seen.update(fsa_v=out))
        self.put("G_eval/out", network(self.za, self.zm))
        for name, x in dict(seen).items():
            if x.numel() <= WHOLE:
                self.put(f"G_eval/{name}", x)
            elif name.endswith("_v"):
                self.put(f"G_eval/{name}_sub", x[:1, ::2, ::3, ::5, ::5])
            else:
                self.put(f"G_eval/{name}_sub", x[:1, ::2, :, ::3, ::3])
        for n in self.options.long_tm:
            zm = self.put(f"in/zm_long{n}", normal(self.rng, 1, self.options.c_m, n, 1, 1))
            self.put(f"G_eval/out_long{n}", network(self.za[:1], zm)[:, :, ::4])

    def generator_train(self):
        network = self.fresh("G").train()
        self.put("G_train/out", network(self.za, self.zm))
        self.put_state("G_train/after/", dict(network.named_buffers()))

    def attention_unit(self):
        if not self.options.use_attention:
            return
        channels = 2 * networks.widths(self.options.size, self.options.ch_g)[3]
        x = self.put("fsa_unit/x", normal(self.rng, 2, channels, 3, 5, 2))
        state = {k[4:]: v for k, v in self.states["G"].items() if k.startswith("fsa.")}
        for suffix in ("", "_fixed"):
            fsa = networks.attention(channels, scrambled=not suffix).double().eval()
            fsa.load_state_dict(state)
            self.put(f"fsa_unit/tsa_out{suffix}", fsa.tsa(x))
            self.put(f"fsa_unit/out{suffix}", fsa(x))
            if not suffix:
                self.put("fsa_unit/ssa_out", fsa.ssa(x))

    def discriminator(self, name):
        fake = torch.from_numpy(self.arrays["G_eval/out"]).double()
        inputs = {"real": self.real, "fake": fake}
        if name == "ID":
            frames = self.rng.integers(self.options.frames, size=2)
            pairs = zip(inputs.items(), frames, strict=True)
            inputs = {f"{key}_f{f}": x[:, :, f] for (key, x), f in pairs}
        network = self.fresh(name).train()
        for key, x in inputs.items():
            self.put(f"{name}_train/{key}", network(x))
        self.put_state(f"{name}_train/after/", dict(network.named_buffers()))
        network = self.fresh(name).eval()
        for key, x in inputs.items():
            self.put(f"{name}_eval/{key}", network(x))
        self.inside(name, network, next(iter(inputs.values())))

    def inside(self, name, network, x):
        x = x.clone().requires_grad_()
        y = x
        for i, layer in enumerate(network.net):
            y = layer(y)
            if i % 2 == 0:
                self.put(f"{name}_eval/net.{i}_sub", thinned(y[:1]))
        y.sum().backward()
        self.put(f"{name}_eval/dsum_dx_sub", x.grad[:1, ..., ::4, ::4])

    def alternatives(self):
        o = self.options
        for alt in o.alt:
            sizes = (o.c_a, o.c_m, alt["ch"], o.size, alt["mode"], alt["use_attention"])
            build = lambda sizes=sizes: networks.Generator(*sizes)  # noqa: E731
            state = self.initial(f"alt_{alt['name']}/G", build)
            network = build().double().eval()
            network.load_state_dict(state)
            out = network(self.za[:1], self.zm[:1])
            self.put(f"alt_{alt['name']}/out", out[:, :, ::3])

    def training_steps(self):
        nets = {name: self.fresh(name).train() for name in self.build}
        adams = {
            name: torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for name, net in nets.items()
        }
        frames = self.rng.integers(self.options.frames, size=(self.options.steps, 2))
        losses = []
        for step, (of_real, of_fake) in enumerate(frames):
            za = self.put(f"step/{step}/za", normal(self.rng, *self.za.shape))
            zm = self.put(f"step/{step}/zm", normal(self.rng, *self.zm.shape))
            losses.append(one_step(nets, adams, self.real, (za, zm), of_real, of_fake))
            if step == 0:
                for name, net in nets.items():
                    for key, parameter in net.named_parameters():
                        self.put(f"step/0/grad/{name}/{key}", parameter.grad.clone())
        self.arrays["step/frames"] = frames
        self.arrays["step/losses"] = np.array(losses)


def one_step(nets, adams, real, codes, of_real, of_fake):
    """Updates D_V, D_I and G; each network keeps the gradient of its own loss."""
    fake = nets["G"](*codes)

    def bce(logits, target):
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    def descend(name, loss):
        parameters = list(nets[name].parameters())
        for parameter, grad in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = grad
        adams[name].step()
        return loss.item()

    loss_v = bce(nets["VD"](real), 1.0) + bce(nets["VD"](fake.detach()), 0.0)
    d_video = descend("VD", loss_v)
    frame = fake[:, :, of_fake]
    loss_i = bce(nets["ID"](real[:, :, of_real]), 1.0) + bce(nets["ID"](frame.detach()), 0.0)
    d_image = descend("ID", loss_i)
    g_video, g_image = bce(nets["VD"](fake), 1.0), bce(nets["ID"](frame), 1.0)
    descend("G", g_video + g_image)
    return d_video, d_image, g_video.item(), g_image.item()


def thinned(x):
    """Returns every other channel, row and column until 6000 numbers or fewer remain."""
    while x.numel() > 6000:
        x = x[:, ::2, ..., ::2, ::2] if x.shape[-1] > 4 else x[:, ::2]
    return x


def make(options, seed):
    """Returns the arrays of one file, `meta` included."""
    maker = Maker(options, seed)
    maker.generator_eval()
    maker.generator_train()
    maker.attention_unit()
    maker.discriminator("VD")
    maker.discriminator("ID")
    maker.alternatives()
    maker.training_steps()
    meta = asdict(options)
    del meta["steps"]
    return maker.arrays, meta


def write(folder, small):
    """Writes the small files, or all."""
    chosen = SMALL if small else SMALL | LARGE
    for seed, (name, options) in enumerate(chosen.items()):
        save(folder / f"{name}.npz", *make(options, 10 * seed))
