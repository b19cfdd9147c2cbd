"""The recurrent generator: from a first code and motion codes to a sequence of W+ latents."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.stylevideogan.latents import LatentScale, Moments
from vgbench.models.stylevideogan.mlp import LeakyReLU, mlp
from vgbench.models.stylevideogan.options import GeneratorOptions
from vgbench.models.stylevideogan.recurrence import StackedGRU
from vgbench.nn.mapping import normalize_2nd_moment


class Memory(nn.Module):
    """Makes the first memories of all cells but the last from the first code (H of the paper).

    A batch norm without scale and shift leaves them as spread as the code itself.
    """

    def __init__(self, options: GeneratorOptions) -> None:
        super().__init__()
        size = (options.layers - 1) * options.z_dim
        self.cells = options.layers - 1
        self.layers = mlp((options.z_dim, *options.memory_widths, size), options.slope)
        self.norm = nn.BatchNorm1d(size, affine=False)

    def forward(self, first: Float[Tensor, "b z"]) -> Float[Tensor, "q b z"]:
        """Returns one memory per cell, the lowest cell first."""
        memories: Tensor = rearrange(
            self.norm(self.layers(first)), "b (q z) -> q b z", q=self.cells
        )
        return memories


class Trunk(nn.Module):
    """Makes features of each frame from the recurrence's output (T of the paper)."""

    def __init__(self, options: GeneratorOptions, w_dim: int) -> None:
        super().__init__()
        self.norm_in = nn.BatchNorm1d(options.z_dim)
        self.layers = mlp((options.z_dim, *options.trunk_widths, w_dim), options.slope)
        self.norm_out = nn.BatchNorm1d(w_dim)

    def forward(self, codes: Float[Tensor, "f z"]) -> Float[Tensor, "f d"]:
        """Returns the features of frames; statistics are taken over all of them."""
        features: Tensor = self.norm_out(self.layers(normalize_2nd_moment(self.norm_in(codes))))
        return features


class Generator(nn.Module):
    """Recurrent generator of W+ sequences of any length.

    The first code fixes the first frame; every further frame has a motion code of its own. What
    comes out are standardised latents: `scale.restore` makes them W+ latents.

    Args:
        options: Its options.
        num_ws: Style vectors per frame, as many as the image generator takes.
        w_dim: Numbers per style vector.

    Source: StyleVideoGAN (BMVC 2021), section 3.
    """

    def __init__(self, options: GeneratorOptions, num_ws: int, w_dim: int) -> None:
        super().__init__()
        self.options, self.num_ws, self.w_dim = options, num_ws, w_dim
        self.memory = Memory(options)
        self.recurrence = StackedGRU(options.z_dim, options.layers)
        self.trunk = Trunk(options, w_dim)
        self.heads = _heads(options, num_ws, w_dim)
        self.scale = LatentScale(num_ws, w_dim)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d) and module.affine:
                nn.init.normal_(module.weight, 1, options.norm_std)

    def fit_scale(self, moments: Moments) -> None:
        """Sets by what latents are standardised: those of the training set, or nothing."""
        if self.options.latent_norm == "per_dim":
            self.scale.fit(moments)

    def first_state(self, first: Float[Tensor, "b z"]) -> Float[Tensor, "q b z"]:
        """Returns the cells' memories at the first frame."""
        return torch.cat((self.memory(first), first[None]))

    def codes(
        self, first: Float[Tensor, "b z"], motion: Float[Tensor, "b k z"]
    ) -> Float[Tensor, "b t z"]:
        """Returns the codes of k + 1 frames; the first is `first` itself.

        Always in the precision of the codes: the gradient angle does not survive half precision.

        Args:
            first: First codes, standard normal.
            motion: Motion codes of the frames that follow, standard normal.
        """
        with torch.autocast(first.device.type, enabled=False):
            unrolled = self.recurrence(motion, self.first_state(first))
            return torch.cat((first[:, None], unrolled.outputs), dim=1)

    def latents(self, codes: Float[Tensor, "b t z"]) -> Float[Tensor, "b t l d"]:
        """Returns the standardised latents of frames with these codes."""
        styles = self.heads(self.trunk(rearrange(codes, "b t z -> (b t) z")))
        latents: Tensor = rearrange(styles, "(b t) (l d) -> b t l d", b=len(codes), l=self.num_ws)
        return latents

    def forward(
        self, first: Float[Tensor, "b z"], motion: Float[Tensor, "b k z"]
    ) -> Float[Tensor, "b t l d"]:
        """Returns the standardised latents of k + 1 frames; arguments as of `codes`."""
        return self.latents(self.codes(first, motion))


def _heads(options: GeneratorOptions, num_ws: int, w_dim: int) -> nn.Module:
    """One map per style vector, all in one matrix as they share their input."""
    linear = nn.Linear(w_dim, num_ws * w_dim)
    if options.head == "linear":
        return linear
    return nn.Sequential(linear, LeakyReLU(options.slope), nn.BatchNorm1d(num_ws * w_dim))
