"""Layers of StyleGAN3's synthesis network.

Source: "Alias-Free Generative Adversarial Networks" (StyleGAN3, NeurIPS 2021), section 3 and
appendix F; state-dict names are those of NVlabs/stylegan3 `training/networks_stylegan3.py`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.equalized import EqualLinear
from vgbench.nn.filtered_lrelu import Resampling, filtered_lrelu
from vgbench.nn.fourier_input import FourierInput
from vgbench.nn.lowpass import design_lowpass_filter
from vgbench.nn.modulated_conv import LowRank, normalized_modulated_conv2d
from vgbench.nn.processes import process_mean
from vgbench.nn.stylegan3.options import Band, LayerPlan, LayerSchedule, LowRankOptions


class AliasFreeLayer(nn.Module):
    """Modulated convolution and an activation that does not alias.

    Args:
        plan: Sizes and frequencies.
        w_dim: Numbers per style.
        low_rank: Options of a second weight, as in StyleSV; None for none.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, plan: LayerPlan, w_dim: int, low_rank: LowRankOptions | None = None) -> None:
        super().__init__()
        self.plan, self.low_rank = plan, low_rank
        c_in, c_out, kernel = plan.before.channels, plan.after.channels, plan.kernel
        self.affine = EqualLinear(w_dim, c_in, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.register_buffer("magnitude_ema", torch.ones(()))
        self.register_buffer("up_filter", _lowpass(plan, plan.up, plan.before))
        self.register_buffer("down_filter", _lowpass(plan, plan.down, plan.after, plan.radial))
        if low_rank is not None:
            self._add_low_rank(low_rank)

    def _add_low_rank(self, options: LowRankOptions) -> None:
        c_out, c_in, *kernel = self.weight.shape
        draw = torch.zeros if options.reference_compat else torch.randn
        self.w1 = nn.Parameter(draw(c_out, options.rank, *kernel))
        self.w2 = nn.Parameter(draw(options.rank, c_in, *kernel))
        self.affine_t = EqualLinear(options.dim, c_in, bias_init=1.0)
        gain = None if options.reference_compat else nn.Parameter(torch.zeros(()))
        self.gain_t = gain

    def forward(
        self,
        x: Float[Tensor, "n i h w"],
        w: Float[Tensor, "n d"],
        v: Float[Tensor, "n m"] | None = None,
        update_emas: bool = False,
    ) -> Float[Tensor, "n o h2 w2"]:
        """Returns the activated map of each style.

        Args:
            x: The map before.
            w: Styles.
            v: Codes for the second weight; looked at only by a layer that has one.
            update_emas: Whether the running magnitude of `x`, by which it is divided, takes it
                into account.
        """
        plan = self.plan
        if update_emas:
            self._update_magnitude(x)
        y = normalized_modulated_conv2d(
            x,
            self.weight,
            self.affine(w) * self._style_gain(),
            padding=plan.kernel - 1,
            demodulate=not plan.to_rgb,
            input_gain=self.magnitude_ema.rsqrt(),
            low_rank=self._second_weight(v),
        )
        resampling = Resampling(self.up_filter, self.down_filter, plan.up, plan.down, plan.padding)
        gain, slope = (1.0, 1.0) if plan.to_rgb else (math.sqrt(2), 0.2)
        return filtered_lrelu(y, self.bias, resampling, gain, slope, plan.clamp)

    @torch.no_grad()
    def _update_magnitude(self, x: Tensor) -> None:
        magnitude = process_mean(x.to(self.magnitude_ema.dtype).square().mean())
        beta = self.plan.magnitude_ema_beta
        self.magnitude_ema.copy_(torch.lerp(magnitude, self.magnitude_ema, beta))

    def _style_gain(self) -> float:
        """Keeps the variance where no demodulation does."""
        return 1 / math.sqrt(self.weight[0].numel()) if self.plan.to_rgb else 1.0

    def _second_weight(self, v: Tensor | None) -> LowRank | None:
        if self.low_rank is None:
            return None
        styles = self.affine_t(v)
        if self.gain_t is None:
            return LowRank(self.w1, self.w2, styles)
        return LowRank(self.w1, self.w2, styles * self._style_gain(), self.gain_t)


class AliasFreeLayers(nn.Module):
    """What synthesis networks with different inputs have in common.

    Args:
        schedule: Sizes and frequencies.
        w_dim: Numbers per style.
        low_rank: Options of a second weight of each layer; None for none.
    """

    def __init__(
        self, schedule: LayerSchedule, w_dim: int, low_rank: LowRankOptions | None = None
    ) -> None:
        super().__init__()
        self.output_scale = schedule.output_scale
        self.layer_names = [plan.name for plan in schedule.layers]
        for plan in schedule.layers:
            self.add_module(plan.name, AliasFreeLayer(plan, w_dim, low_rank))

    def render(
        self,
        x: Float[Tensor, "n c h w"],
        ws: Float[Tensor, "n l d"],
        v: Float[Tensor, "n m"] | None = None,
        update_emas: bool = False,
    ) -> Float[Tensor, "n k r r"]:
        """Returns images, roughly in [-1, 1]; see `AliasFreeLayer`.

        Args:
            x: Input map.
            ws: A style for each layer.
            v: Codes for the second weights, where there are any.
            update_emas: Whether running magnitudes are updated.
        """
        for name, w in zip(self.layer_names, ws.unbind(dim=1), strict=True):
            x = self.get_submodule(name)(x, w, v, update_emas)
        return x * self.output_scale


class ImageSynthesis(AliasFreeLayers):
    """Images from styles.

    Args:
        schedule: Sizes and frequencies.
        w_dim: Numbers per style.
    """

    def __init__(self, schedule: LayerSchedule, w_dim: int) -> None:
        super().__init__(schedule, w_dim)
        first = schedule.bands[0]
        self.input = FourierInput(w_dim, first.channels, first.size, first.rate, first.cutoff)

    def forward(
        self, ws: Float[Tensor, "n l d"], update_emas: bool = False
    ) -> Float[Tensor, "n c h w"]:
        """Returns images, roughly in [-1, 1].

        Args:
            ws: A style for the input and one for each layer.
            update_emas: Whether running magnitudes are updated.
        """
        return self.render(self.input(ws[:, 0]), ws[:, 1:], update_emas=update_emas)


def _lowpass(
    plan: LayerPlan, factor: int, band: Band, radial: bool = False
) -> Float[Tensor, "..."] | None:
    """The filter for resampling by `factor` that keeps a band."""
    width = 2 * band.half_width
    return design_lowpass_filter(plan.taps(factor), band.cutoff, width, plan.inner_rate, radial)
