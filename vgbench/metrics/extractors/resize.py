"""Every resizing and scaling in front of a network, by the name that protocols call it.

Frames stay in channels-last memory from the decoder to the first convolution.
"""

from collections.abc import Callable, Mapping
from math import ceil
from types import MappingProxyType

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

Frames = UInt8[Tensor, "n h w 3"]
Preprocess = Callable[[Frames], Float[Tensor, "n 3 height width"]]

I3D_SIDE = 224
INCEPTION_SIDE = 299
KINETICS_SIDE = 112
# Of the Kinetics videos, in grey levels. Source: 3D-ResNets, used by G3AN's evaluation.
KINETICS_MEAN = (114.7748, 107.7354, 99.4750)


def resize_half_pixel(
    images: Float[Tensor, "n c h w"], height: int, width: int
) -> Float[Tensor, "n c height width"]:
    """Returns bilinearly resized images; pixel centres at i + 1/2, no antialiasing.

    Pixel i of the result reads the source at (i + 1/2) * in/out - 1/2, clamped to the image.

    Source: the resizing in front of I3D in StyleGAN-V's `metrics/frechet_video_distance.py`.
    """
    return F.interpolate(
        images, size=(height, width), mode="bilinear", align_corners=False, antialias=False
    )


def resize_tf1(
    images: Float[Tensor, "n c h w"], height: int, width: int
) -> Float[Tensor, "n c height width"]:
    """Returns bilinearly resized images as TensorFlow 1 did; corners at 0, no antialiasing.

    Pixel i of the result reads the source at i * in/out, the scale rounded to float32; the upper
    neighbour is clamped to the image. Columns are interpolated before rows.

    Source: TensorFlow 1 `resize_bilinear(align_corners=False)`, part of the graph of Inception
    2015-12-05.
    """
    along_width = _interpolate_last(images, width)
    return _interpolate_last(along_width.transpose(2, 3), height).transpose(2, 3)


def resize_clean(
    images: Float[Tensor, "n c h w"], height: int, width: int
) -> Float[Tensor, "n c height width"]:
    """Returns images resized as Pillow resizes float channels, clipped to 0..255.

    Bicubic with a = -1/2, whose window widens when an image shrinks.

    Source: Parmar et al. (CVPR 2022), "On aliased resizing"; Pillow `Image.resize(BICUBIC)`.
    """
    return F.interpolate(images, size=(height, width), mode="bicubic", antialias=True).clamp(0, 255)


def resize_pillow_8bit(
    images: Float[Tensor, "n c h w"], height: int, width: int
) -> Float[Tensor, "n c height width"]:
    """Returns bilinearly resized, antialiased images of whole grey levels, as Pillow makes them.

    Columns come first; either pass is rounded to 8 bits. Pillow's fixed-point weights move single
    pixels by one level.
    """
    for size in ((images.shape[2], width), (height, width)):
        images = F.interpolate(images, size=size, mode="bilinear", antialias=True).round()
    return images


def styleganv(frames: Frames) -> Float[Tensor, "n 3 224 224"]:
    """Returns whole frames at 224x224, half-pixel bilinear, `2x / 255 - 1`; aspect not kept."""
    return _to_unit(resize_half_pixel(_pixels(frames), I3D_SIDE, I3D_SIDE))


def tf1_224(frames: Frames) -> Float[Tensor, "n 3 224 224"]:
    """Returns frames as the original FVD saw them: TF1 bilinear to 224x224, `2x / 255 - 1`."""
    return _to_unit(resize_tf1(_pixels(frames), I3D_SIDE, I3D_SIDE))


def short_side_224(frames: Frames) -> Float[Tensor, "n 3 224 224"]:
    """Returns the central 224x224 of frames whose shorter side became 224, `2x / 255 - 1`.

    The longer side is rounded up.

    Source: VideoGPT's `preprocess`, as used by DIGAN and TATS.
    """
    short = min(frames.shape[1:3])
    height, width = (max(ceil(side * I3D_SIDE / short), I3D_SIDE) for side in frames.shape[1:3])
    resized = resize_half_pixel(_pixels(frames), height, width)
    top, left = (height - I3D_SIDE) // 2, (width - I3D_SIDE) // 2
    return _to_unit(resized[:, :, top : top + I3D_SIDE, left : left + I3D_SIDE])


def kinetics_112(frames: Frames) -> Float[Tensor, "n 3 112 112"]:
    """Returns whole frames at 112x112 minus the mean colour of Kinetics, deviation untouched.

    Source: wyhsirius/g3an-project `evaluation`.
    """
    resized = resize_pillow_8bit(_pixels(frames), KINETICS_SIDE, KINETICS_SIDE)
    return resized - rearrange(resized.new_tensor(KINETICS_MEAN), "c -> 1 c 1 1")


def tf1(frames: Frames) -> Float[Tensor, "n 3 299 299"]:
    """Returns images as the network of 2015 sees them: TF1 bilinear 299x299, (x - 128) / 128."""
    return _around_128(resize_tf1(_pixels(frames), INCEPTION_SIDE, INCEPTION_SIDE))


def torch_299(frames: Frames) -> Float[Tensor, "n 3 299 299"]:
    """Returns images as pytorch-fid feeds them: half-pixel bilinear 299x299, `2x / 255 - 1`."""
    return _to_unit(resize_half_pixel(_pixels(frames), INCEPTION_SIDE, INCEPTION_SIDE))


def clean(frames: Frames) -> Float[Tensor, "n 3 299 299"]:
    """Returns images as clean-fid feeds them: Pillow bicubic 299x299, (x - 128) / 128."""
    return _around_128(resize_clean(_pixels(frames), INCEPTION_SIDE, INCEPTION_SIDE))


I3D_INPUTS: Mapping[str, Preprocess] = MappingProxyType(
    {
        "styleganv": styleganv,
        "tf1-224": tf1_224,
        "short-side-224+centre-crop": short_side_224,
    }
)
INCEPTION_INPUTS: Mapping[str, Preprocess] = MappingProxyType(
    {"tf1": tf1, "torch": torch_299, "clean": clean}
)
RESNEXT_INPUTS: Mapping[str, Preprocess] = MappingProxyType({"kinetics-112": kinetics_112})


def _pixels(frames: Frames) -> Float[Tensor, "n 3 h w"]:
    return rearrange(frames, "n h w c -> n c h w").to(torch.float32)


def _to_unit(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    return pixels.mul(2 / 255).sub_(1)


def _around_128(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    return pixels.sub(128).div_(128)


def _interpolate_last(
    images: Float[Tensor, "n c rows columns"], size: int
) -> Float[Tensor, "n c rows size"]:
    last = images.shape[3] - 1
    scale = torch.tensor(images.shape[3] / size, dtype=torch.float32).double()
    source = torch.arange(size, dtype=torch.float64) * scale
    lower = source.floor()
    fraction = (source - lower).to(images)
    low = images[..., lower.long().to(images.device)]
    high = images[..., (lower.long() + 1).clamp(max=last).to(images.device)]
    return torch.lerp(low, high, fraction)
