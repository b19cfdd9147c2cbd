"""Every resizing and scaling in front of a network, by the name that protocols call it.

The bilinear resizings of PyTorch keep frames in the channels-last memory they were decoded to.
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
    """Returns images resized as Pillow resizes float channels (bicubic), clipped to 0..255.

    Source: Parmar et al. (CVPR 2022), "On aliased resizing"; Pillow `Image.resize(BICUBIC)`.
    """
    across = _pillow_weights(images.shape[3], width, _cubic, 2).to(images.device)
    down = _pillow_weights(images.shape[2], height, _cubic, 2).to(images.device)
    wide = (images.double() @ across.mT).float()
    return (down @ wide.double()).float().clamp(0, 255)


def resize_pillow_8bit(
    images: Float[Tensor, "n c h w"], height: int, width: int
) -> Float[Tensor, "n c height width"]:
    """Returns bilinearly resized images of whole grey levels, bit for bit as Pillow makes them.

    Weights are rounded to 22 bits; columns come first, and either pass is rounded to 8 bits.
    """
    across = _pillow_weights(images.shape[3], width, _triangle, 1).mul(2**22).round()
    down = _pillow_weights(images.shape[2], height, _triangle, 1).mul(2**22).round()
    wide = (images.double() @ across.to(images.device).mT / 2**22 + 0.5).floor()
    return (down.to(images.device) @ wide / 2**22 + 0.5).floor().float()


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
    # A view with channels last would be resized by a kernel four times slower on a CPU.
    return rearrange(frames, "n h w c -> n c h w").contiguous().to(torch.float32)


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


def _pillow_weights(
    size: int, new: int, window: Callable[[Float[Tensor, "*n"]], Float[Tensor, "*n"]], support: int
) -> Float[Tensor, "new size"]:
    """Returns the float64 matrix of Pillow's resampling of one axis.

    The window widens when the axis shrinks; it is cut at the borders and its weights sum to one.

    Source: Pillow `libImaging/Resample.c`, `precompute_coeffs`.
    """
    widening = max(size / new, 1.0)
    centres = (torch.arange(new, dtype=torch.float64)[:, None] + 0.5) * (size / new)
    places = torch.arange(size, dtype=torch.float64)[None, :]
    first = (centres - support * widening + 0.5).clamp(min=0).floor()
    last = (centres + support * widening + 0.5).floor()
    weights = window((places - centres + 0.5) / widening) * ((places >= first) & (places < last))
    return weights / weights.sum(dim=1, keepdim=True)


def _triangle(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    return (1 - x.abs()).clamp(min=0)


def _cubic(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Returns Keys' cubic window with a = -1/2."""
    x = x.abs()
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, inner, torch.where(x < 2, outer, torch.zeros_like(x)))
