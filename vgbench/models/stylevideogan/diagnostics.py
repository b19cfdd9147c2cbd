"""What the losses do not show: whether the motion codes matter, and where long rollouts go."""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.losses import Angle, GradientAngle
from vgbench.models.stylevideogan.rollout import rollout
from vgbench.nn.noise import GeneratorLike, normal


def measure_angle(
    generator: Generator, angle: GradientAngle, n: int, steps: int, source: GeneratorLike
) -> Angle:
    """Returns the gradient angle of `n` clips of `steps` motion codes, without a graph.

    Args:
        generator: In eval mode.
        angle: In eval mode, so that its statistics stay.
        n: Number of clips.
        steps: Motion codes per clip.
        source: Source of the codes.
    """
    z_dim, device = generator.options.z_dim, generator.scale.mean.device
    noise = normal(n, (1 + steps, z_dim), source, device)
    first, motion = (x.clone().requires_grad_() for x in (noise[:, 0], noise[:, 1:]))
    with torch.enable_grad():
        found = angle(generator.codes(first, motion), first, motion)
    return Angle(*(value.detach() for value in found))


@torch.no_grad()
def codes_of_fixed_starts(
    generator: Generator, starts: int, draws: int, steps: int, source: torch.Generator
) -> Float[Tensor, "i k t z"]:
    """Returns codes of clips of which `draws` share each first code.

    Args:
        generator: In eval mode.
        starts: Number of first codes.
        draws: Clips per first code.
        steps: Motion codes per clip.
        source: Source of all codes.
    """
    z_dim, device = generator.options.z_dim, generator.scale.mean.device
    first = normal(starts, (z_dim,), source, device).repeat_interleave(draws, dim=0)
    motion = normal(starts * draws, (steps, z_dim), source, device)
    return rearrange(generator.codes(first, motion), "(i k) t z -> i k t z", i=starts)


def diversity(codes: Float[Tensor, "i k t z"]) -> Float[Tensor, " t"]:
    """Returns the spread of codes over draws of the motion with the start fixed, per frame.

    Its last entry is the spread that a generator loses which lets the first code decide all.

    Args:
        codes: Those of k draws for each of i first codes.
    """
    return codes.std(dim=1).mean(dim=(0, 2))


def roughness(ws: Float[Tensor, "b t l d"]) -> Float[Tensor, ""]:
    """Returns the mean length of the step from one frame's latent to the next.

    Larger in samples than in data: they jitter; smaller: they hardly move. What an encoder
    jitters counts as motion of the data.
    """
    steps: Tensor = ws.diff(dim=1).flatten(2).norm(dim=2)
    return steps.mean()


def distance_in_sigma(
    ws: Float[Tensor, "b t l d"], mean: Float[Tensor, "l d"], std: Float[Tensor, "l d"]
) -> Float[Tensor, " t"]:
    """Returns the root mean square distance to the training mean, per frame; 1 for the data.

    Args:
        ws: W+ latents of long rollouts.
        mean: Mean of the training set.
        std: Standard deviation of the training set, positive.
    """
    return ((ws - mean) / std).square().mean(dim=(0, 2, 3)).sqrt()


def repeating_share(
    standardized: Float[Tensor, "t k"], segment: int = 16, tolerance: float = 0.3
) -> float:
    """Returns the share of segments of a sequence that it also shows at another time.

    A segment repeats if another one that does not overlap it differs, in root mean square over
    its frames, by at most `tolerance` of what two frames of the data differ. 1 for a loop, and for
    a sequence that stands still. Measured against the data and not against the sequence, motion
    that is poor counts as repeating.

    Args:
        standardized: Latents of the frames, every dimension with mean 0 and spread 1 in the data;
            at least two segments.
        segment: Frames per segment.
        tolerance: Largest difference, as a share.
    """
    points = standardized.double()
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    limit = tolerance**2 * 2 * points.shape[1]  # of two independent frames: twice the variance
    repeats = torch.zeros(len(points) - segment + 1, dtype=torch.bool, device=points.device)
    for lag in range(segment, len(repeats)):
        near = apart.diagonal(lag).unfold(0, segment, 1).mean(dim=1) <= limit
        repeats[: len(near)] |= near
        repeats[lag:] |= near
    return float(repeats.double().mean())


def report(
    generator: Generator,
    angle: GradientAngle,
    real: Float[Tensor, "b t l d"],
    source: torch.Generator,
    long_frames: int = 512,
) -> dict[str, float]:
    """Returns the quantities to log during training.

    `phi`: mean gradient angle; `spread`: of the last frame's code with the first code fixed;
    `diversity`: the mean of this over the frames; `roughness` of rollouts and `roughness_data`;
    `sigma_start` and `sigma_end`: distance to the training mean over the first and last tenth of
    rollouts; `repeating`: share of repeating segments in them.

    Args:
        generator: In eval mode.
        angle: In eval mode.
        real: W+ latents of training clips; their length is that of the short clips measured.
        source: Source of all codes.
        long_frames: Frames of the rollouts.
    """
    steps = real.shape[1] - 1
    per_frame = diversity(codes_of_fixed_starts(generator, 8, 16, steps, source))
    long = torch.cat(list(rollout(generator, 4, long_frames, source)), dim=1)
    far = distance_in_sigma(long, generator.scale.mean, generator.scale.std)
    tenth = math.ceil(long_frames / 10)
    standardized = rearrange(generator.scale.standardize(long), "b t l d -> b t (l d)")
    found = {
        "phi": measure_angle(generator, angle, 32, steps, source).phi.mean(),
        "spread": per_frame[-1],
        "diversity": per_frame.mean(),
        "roughness": roughness(long),
        "roughness_data": roughness(real),
        "sigma_start": far[:tenth].mean(),
        "sigma_end": far[-tenth:].mean(),
    }
    repeating = [repeating_share(clip) for clip in standardized]
    return {name: float(value) for name, value in found.items()} | {
        "repeating": sum(repeating) / len(repeating)
    }
