"""What every `VideoGAN` keeps to, so that the trainer and the evaluator can treat all alike."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from vgbench.data.draws import Draws
from vgbench.data.policies import choose
from vgbench.errors import FrameLimitError
from vgbench.models.base import Clips, VideoGAN, plain
from vgbench.models.checkpoint import build_model
from vgbench.nn.noise import seeded_generator
from vgbench.testing.contract import Tell, examine, ignore, require
from vgbench.types import ModelConfig, VideoSpec

SMALL = VideoSpec(height=32, width=32)
# A video alone and in a batch pass through kernels that sum in another order.
_ROUNDING = 5e-5
_STEPS = 5  # a critic may make so many steps before the generator's first


def check_video_gan(config: ModelConfig, spec: VideoSpec = SMALL, tell: Tell = ignore) -> None:
    """Examines the model that `config` describes, untrained; takes seconds where it is small.

    Args:
        config: Options of the model, e.g. those of its budget `demo`.
        spec: Size of its videos.
        tell: Called with each finding as soon as it is made.

    Raises:
        ContractError: If it breaks a promise; names all that it breaks.
        UsageError: If it has no networks for that size.
    """
    examine(CHECKS, build_model(config, spec, seed=3), type(config).__name__, tell)


def samples_are_videos(model: VideoGAN) -> None:
    """Samples are float32 `(n, C, T, H, W)` in [-1, 1], without gradient, and not constant."""
    n, spec, frames = 3, model.spec, _frames(model)
    videos = model.sample(n, frames, _per_video(0, range(n)))
    shape = (n, spec.channels, frames, spec.height, spec.width)
    require(videos.shape == shape, f"the shape is {tuple(videos.shape)}, not {shape}")
    require(videos.dtype == torch.float32, f"the type is {videos.dtype}")
    require(videos.device == model.device, f"they are on {videos.device}, not {model.device}")
    require(not videos.requires_grad, "they require a gradient")
    require(bool(videos.isfinite().all()), "they are not finite")
    most = float(videos.abs().max())
    require(most <= 1, f"the largest magnitude is {most:g}")
    require(float(videos.std()) > 1e-4, "all pixels are alike")


def sampling_leaves_every_mode(model: VideoGAN) -> None:
    """Sampling leaves every layer in its own mode, training or evaluation."""
    model.train()
    next(m for m in model.modules() if m is not model).eval()
    before = [m.training for m in model.modules()]
    model.sample(1, _frames(model), seeded_generator(0, "eval", 0))
    after = [m.training for m in model.modules()]
    model.train()
    require(after == before, "some layer's mode was changed")


def samples_depend_on_their_generator(model: VideoGAN) -> None:
    """The same generator state gives the same videos, another one others."""
    frames = _frames(model)
    first, second, other = (
        model.sample(2, frames, seeded_generator(seed, "eval")) for seed in (7, 7, 8)
    )
    require(torch.equal(first, second), "the same state gave other videos")
    require(not torch.equal(first, other), "another state gave the same videos")


def global_state_is_untouched(model: VideoGAN) -> None:
    """Neither building nor sampling a model draws from or seeds torch's global generator."""
    before = torch.random.get_rng_state()
    build_model(model.config, model.spec, seed=4)
    model.sample(1, _frames(model), seeded_generator(7, "eval"))
    require(torch.equal(before, torch.random.get_rng_state()), "its state has changed")


def videos_are_independent(model: VideoGAN) -> None:
    """With one generator per video, a video does not depend on the others of its batch."""
    frames = _frames(model)
    together = model.sample(5, frames, _per_video(1, range(5)))
    alone = torch.cat([model.sample(1, frames, _per_video(1, [i])) for i in range(5)])
    gap = float((together - alone).abs().max())
    require(gap <= _ROUNDING, f"alone and together they differ by {gap:g}")


def any_length_or_a_limit(model: VideoGAN) -> None:
    """Any number of frames is drawn; beyond `max_frames`, FrameLimitError names the limit."""
    for frames in (1, 5, 16, 17, 40):
        if model.max_frames is None or frames <= model.max_frames:
            drawn = model.sample(1, frames, seeded_generator(0, "eval")).shape[2]
            require(drawn == frames, f"{frames} frames were asked, {drawn} drawn")
            continue
        try:
            model.sample(1, frames, seeded_generator(0, "eval"))
        except FrameLimitError as error:
            require(str(model.max_frames) in str(error), f"the limit is not in '{error}'")
        else:
            require(False, f"{frames} frames were drawn, beyond {model.max_frames}")


def samples_come_from_the_average(model: VideoGAN) -> None:
    """Samples come from the weight average if there is one, not from the trained generator."""
    if model.generator_ema is None:
        require(model.sampler is model.generator, "`sampler` is not the generator")
        return
    frames, saved = _frames(model), [p.detach().clone() for p in model.generator.parameters()]
    before = model.sample(1, frames, seeded_generator(0, "eval"))
    with torch.no_grad():
        for weights in model.generator.parameters():
            weights.add_(1.0)
        after = model.sample(1, frames, seeded_generator(0, "eval"))
        for weights, value in zip(model.generator.parameters(), saved, strict=True):
            weights.copy_(value)
    require(torch.equal(before, after), "other weights of `generator` gave other samples")


def the_seed_decides_the_weights(model: VideoGAN) -> None:
    """Initial weights depend on the seed alone: networks are built inside `seeded_init`."""
    again, other = (build_model(model.config, model.spec, seed) for seed in (model.seed, 4))
    fresh = build_model(model.config, model.spec, model.seed)
    same = [torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters(), strict=True)]
    require(all(same), "the same seed gave other weights")
    pairs = zip(fresh.parameters(), other.parameters(), strict=True)
    require(any(not torch.equal(a, b) for a, b in pairs), "another seed gave the same weights")


def options_are_plain(model: VideoGAN) -> None:
    """Options are plain values, and the clips asked for are of frames that the policy gives."""
    json.dumps(plain(asdict(model.config)))
    clips = model.clips
    require(clips.frames >= 1, f"clips have {clips.frames} frames")
    fits = clips.policy.min_frames >= clips.frames
    require(fits, f"clips of {clips.frames} frames from videos of {clips.policy.min_frames}")


def training_moves_the_generator(model: VideoGAN) -> None:
    """Training steps change most of the generator's weights and return finite scalars."""
    fresh = build_model(model.config, model.spec, seed=5).train()
    optimizers = _optimizers(fresh)
    before = [p.detach().clone() for p in fresh.generator.parameters()]
    real = _clips(fresh)
    moved: list[bool] = []
    for _ in range(_STEPS):
        scalars = fresh.train_clips(real, optimizers)
        require(bool(scalars), "there are no scalars to log")
        bad = [name for name, value in scalars.items() if not torch.isfinite(value)]
        require(not bad, f"{', '.join(bad)} not finite")
        fresh.clips_seen += len(real.video)
        pairs = list(zip(before, fresh.generator.parameters(), strict=True))
        moved = [not torch.equal(old, new) for old, new in pairs if new.requires_grad]
        if any(moved):
            break
    frozen = [torch.equal(old, new) for old, new in pairs if not new.requires_grad]
    require(sum(moved) > len(moved) / 2, f"{sum(moved)} of {len(moved)} tensors moved")
    require(all(frozen), "a frozen weight moved")


def weights_survive_a_checkpoint(model: VideoGAN) -> None:
    """A model rebuilt from its options and its state samples the same videos."""
    again = build_model(model.config, model.spec, seed=9)
    again.load_state_dict(model.state_dict())
    frames = _frames(model)
    first, second = (m.sample(1, frames, seeded_generator(0, "eval")) for m in (model, again))
    require(torch.equal(first, second), "the rebuilt model samples other videos")


CHECKS = (
    samples_are_videos,
    sampling_leaves_every_mode,
    samples_depend_on_their_generator,
    global_state_is_untouched,
    videos_are_independent,
    any_length_or_a_limit,
    samples_come_from_the_average,
    the_seed_decides_the_weights,
    options_are_plain,
    training_moves_the_generator,
    weights_survive_a_checkpoint,
)


def _frames(model: VideoGAN) -> int:
    """As many frames as a metric would ask for, if the method can draw them."""
    return min(16, model.max_frames or 16)


def _per_video(seed: int, videos: Sequence[int]) -> list[torch.Generator]:
    return [seeded_generator(seed, "eval", i) for i in videos]


def _optimizers(model: VideoGAN) -> list[Optimizer]:
    found = model.configure_optimizers()
    return list(found) if isinstance(found, (list, tuple)) else [found]  # type: ignore[list-item]


def _clips(model: VideoGAN, n: int = 4) -> Clips:
    """Returns real clips of noise, at times that the model's policy draws."""
    policy, spec = model.clips.policy, model.spec
    draws = Draws(np.arange(n, dtype=np.uint64))
    times = choose(policy, np.full(n, policy.min_frames), draws).times
    shape = (n, spec.channels, model.clips.frames, spec.height, spec.width)
    video: Float[Tensor, "b c t h w"] = torch.rand(
        shape, generator=torch.Generator().manual_seed(0)
    )
    return Clips(2 * video - 1, torch.from_numpy(times), torch.full((n,), -1))
