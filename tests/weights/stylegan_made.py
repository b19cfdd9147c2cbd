"""Small StyleGANs of ours, and the files that hold them as other projects publish theirs."""

import io
import pickle
import sys
import types
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from vgbench.models.checkpoint import build_model
from vgbench.nn.encoder.options import BackboneSize
from vgbench.registry import MODELS
from vgbench.types import VideoSpec, record

SMALL = {
    "stylegan2-frames": {
        "z_dim": 12,
        "w_dim": 12,
        "mapping_layers": 2,
        "channel_base": 128,
        "channel_max": 16,
    },
    "stylegan3-frames": {
        "z_dim": 10,
        "w_dim": 12,
        "mapping_layers": 2,
        "channel_base": 128,
        "channel_max": 16,
        "num_layers": 4,
        "margin": 4,
    },
}
KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def image_gan(name, size=16, **options):
    """Returns an image GAN whose every tensor was drawn, noise and mean style included."""
    config = record(MODELS.get(name), {**SMALL[name], **options})
    model = build_model(config, VideoSpec(3, size, size), seed=3).eval()
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for network in (model.sampler, model.discriminator):
            for key, value in network.state_dict().items():
                if key.endswith(("bias", "noise_strength", "w_avg")):
                    value += 0.3 * torch.randn(value.shape, generator=draw)
                if key.endswith("magnitude_ema"):
                    value += torch.rand(value.shape, generator=draw)
    return model


# NVIDIA's pickles ------------------------------------------------------------------------------


@contextmanager
def foreign_modules():
    """Lets names be pickled that belong to projects that are not installed."""
    persistence, util = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib.util")

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("only its name is used")

    class EasyDict(dict):
        pass

    for module, thing in ((persistence, _reconstruct_persistent_obj), (util, EasyDict)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
    sys.modules |= {m.__name__: m for m in (persistence, util)}
    sys.modules |= {name: types.ModuleType(name) for name in ("torch_utils", "dnnlib")}
    try:
        yield persistence, util
    finally:
        for name in ("torch_utils.persistence", "dnnlib.util", "torch_utils", "dnnlib"):
            del sys.modules[name]


class Persistent:
    """A module as NVIDIA's `persistence` pickles it: its state and the source of its class."""

    def __init__(self, reconstruct, class_name, state, source):
        self.reconstruct, self.meta = (
            reconstruct,
            {
                "type": "class",
                "version": 6,
                "module_src": source,
                "class_name": class_name,
                "state": state,
            },
        )

    def __reduce__(self):
        return self.reconstruct, (self.meta,), None


def persistent(reconstruct, class_name, tensors, options, source):
    """Returns the tree of modules that holds tensors under their dotted names."""
    own, below = {}, {}
    for name, tensor in tensors.items():
        head, _, tail = name.partition(".")
        if tail:
            below.setdefault(head, {})[tail] = tensor
        else:
            own[head] = tensor
    buffers = ("resample_filter", "noise_const", "w_avg", "magnitude_ema", "up_filter")
    buffers += ("down_filter", "freqs", "phases", "transform")
    state = {
        "training": False,
        "_parameters": {k: nn.Parameter(v) for k, v in own.items() if k not in buffers},
        "_buffers": {k: v for k, v in own.items() if k in buffers} | {"nothing": None},
        "_non_persistent_buffers_set": set(),
        "_modules": {
            name: persistent(reconstruct, "Layer", part, {}, source) for name, part in below.items()
        },
        "_init_args": (),
        "_init_kwargs": options,
        "in_size": np.broadcast_to(np.asarray(36), [2]),
        "sampling_rate": np.float64(16.5),
    }
    return Persistent(reconstruct, class_name, state, source)


def nvidia_content(persistence, util, networks, options=(), source="raise SystemExit"):
    """Returns what a training script pickles: networks by name, and some things beside them."""
    options, content = dict(options), {}
    for name, tensors in networks.items():
        extra = util.EasyDict(mapping_kwargs=util.EasyDict(), **options.get(name, {}))
        arguments = (persistence._reconstruct_persistent_obj, "Generator")
        content[name] = persistent(*arguments, tensors, extra, source)
    return {**content, "training_set_kwargs": util.EasyDict(path="x"), "augment_pipe": None}


def save_nvidia(path, networks, protocol=4, **rest):
    with foreign_modules() as (persistence, util):
        content = nvidia_content(persistence, util, networks, **rest)
        path.write_bytes(pickle.dumps(content, protocol=protocol))


def nvidia_state(network):
    """Returns the state dict with the filters that NVIDIA's StyleGAN2 keeps in it."""
    state = dict(network.state_dict())
    for name, _ in network.named_buffers():
        if name.endswith("resample_filter"):
            state[name] = KERNEL.clone()
    return state


# Files of rosinality's and of pixel2style2pixel ------------------------------------------------


def rosinality_generator(state):
    """Returns a StyleGAN2 generator as rosinality's names and shapes its tensors."""
    theirs = {}
    for name, value in state.items():
        part, *path = name.split(".")
        if name == "mapping.w_avg":
            continue
        if part == "mapping":
            theirs[f"style.{int(path[0][2:]) + 1}.{path[1]}"] = value
        elif path[-1] == "const":
            theirs["input.input"] = value[None]
        else:
            level = int(path[0][1:]).bit_length() - 3  # 0 for 4x4
            theirs |= _rosinality_layer(level, path[1], ".".join(path[2:]), value)
    return theirs


def _rosinality_layer(level, kind, leaf, value):
    if kind == "torgb":
        prefix = f"to_rgbs.{level - 1}" if level else "to_rgb1"
        known = {
            "weight": ("conv.weight", value[None]),
            "bias": ("bias", value[None, :, None, None]),
        }
        extra = {f"{prefix}.upsample.kernel": 4 * KERNEL} if level else {}
    else:
        place = 2 * (level - 1) + int(kind[-1])
        prefix = f"convs.{place}" if level else "conv1"
        if leaf == "noise_const":
            return {f"noises.noise_{place + 1 if level else 0}": value[None, None]}
        known = {"weight": ("conv.weight", value[None]), "bias": ("activate.bias", value)}
        known["noise_strength"] = ("noise.weight", value[None])
        extra = {f"{prefix}.conv.blur.kernel": 4 * KERNEL} if level and kind == "conv0" else {}
    known |= {f"affine.{k}": (f"conv.modulation.{k}", value) for k in ("weight", "bias")}
    name, shaped = known[leaf]
    return {f"{prefix}.{name}": shaped, **extra}


def rosinality_discriminator(state, size):
    """Returns a StyleGAN2 discriminator as rosinality's names its tensors."""
    residual = {
        "conv0.weight": "conv1.0.weight",
        "conv0.bias": "conv1.1.bias",
        "conv1.weight": "conv2.1.weight",
        "conv1.bias": "conv2.2.bias",
        "skip.weight": "skip.1.weight",
    }
    last = {"conv.weight": "final_conv.0.weight", "conv.bias": "final_conv.1.bias"}
    for i, layer in enumerate(("fc", "out")):
        last |= {f"{layer}.{k}": f"final_linear.{i}.{k}" for k in ("weight", "bias")}
    theirs = {}
    for name, value in state.items():
        block, leaf = name.split(".", 1)
        number = (size // int(block[1:])).bit_length()
        if block == "b4":
            theirs[last[leaf]] = value
        elif leaf.startswith("fromrgb"):
            theirs[{"w": "convs.0.0.weight", "b": "convs.0.1.bias"}[leaf[8]]] = value
        else:
            theirs[f"convs.{number}.{residual[leaf]}"] = value
            theirs[f"convs.{number}.conv2.0.kernel"] = KERNEL
    return theirs


SMALL_BODY = BackboneSize(16, (1, 2, 1, 1))


def psp_file(model, encoder, **rest):
    """Returns what pixel2style2pixel saves, without the counters that old versions lack."""
    decoder = rosinality_generator(model.sampler.state_dict())
    parts = {"encoder": encoder.state_dict(), "decoder": decoder}
    state = {
        f"{part}.{name}": value
        for part, tensors in parts.items()
        for name, value in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    return {"state_dict": state, "opts": {"start_from_latent_avg": "latent_avg" in rest}, **rest}


def made_encoder(kind, *sizes):
    encoder = kind(SMALL_BODY, *sizes, w_dim=12).eval()
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, value in encoder.state_dict().items():
            if "running" in name or name.endswith("linear.bias"):
                value += torch.rand(value.shape, generator=draw)
    return encoder


def torch_bytes(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()
