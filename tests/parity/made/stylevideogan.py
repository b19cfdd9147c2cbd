"""Files `stylevideogan_*.npz`: StyleVideoGAN's temporal networks from `nn.GRU`, in float64."""

import math
from itertools import pairwise

import torch
from torch import nn

from tests.parity.made.files import save

# clips, frames, z, w, styles, cells, hidden widths of H and T, widths of E, channels of the critic
CASES = {
    "small": (2, 6, 5, 8, 3, 4, (7, 9), (6,), (11, 4), (5, 3)),
    "deep": (4, 13, 3, 6, 5, 3, (8, 8, 8, 8), (9, 7, 7, 5), (12, 10, 7), (4, 6, 5)),
}


class PixelNorm(nn.Module):
    def forward(self, x):
        return x / torch.sqrt((x * x).mean(1, keepdim=True) + 1e-8)


def linears(widths):
    return [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]


class Generator(nn.Module):
    def __init__(self, z, w, styles, cells, memory, trunk):
        super().__init__()
        self.H = nn.Sequential(*linears((z, *memory, (cells - 1) * z)))
        self.H.append(nn.BatchNorm1d((cells - 1) * z, affine=False))
        self.P = nn.GRU(z, z, cells, batch_first=True)
        self.T = nn.Sequential(nn.BatchNorm1d(z), PixelNorm(), *linears((z, *trunk, w)))
        self.T.append(nn.BatchNorm1d(w))
        self.A = nn.ModuleList(nn.Linear(w, w) for _ in range(styles))

    def codes(self, i, s):
        made = self.H(i).view(len(i), -1, i.shape[1])
        start = torch.stack([*made.unbind(1), i])
        return torch.cat([i.unsqueeze(1), self.P(s, start)[0]], 1)

    def forward(self, codes):
        features = self.T(codes.reshape(-1, codes.shape[2]))
        styles = torch.stack([head(features) for head in self.A], 1)
        return styles.view(*codes.shape[:2], *styles.shape[1:])


class Critic(nn.Module):
    def __init__(self, frames, inputs, widths, channels):
        super().__init__()
        self.E = nn.Sequential(*linears((inputs, *widths)))
        for index, (a, b) in enumerate(pairwise((widths[-1], *channels)), 1):
            self.add_module(f"c{index}", nn.Conv1d(a, b, 5, stride=2, padding=2))
            frames = (frames + 1) // 2
        self.out = nn.Linear(channels[-1] * frames, 1)
        self.depth = len(channels)

    def forward(self, w):
        x = torch.stack([self.E(clip.flatten(1)) for clip in w]).transpose(1, 2)
        for index in range(1, self.depth + 1):
            x = nn.functional.leaky_relu(getattr(self, f"c{index}")(x), 0.2)
        return self.out(x.flatten(1))[:, 0]


def disturb(network):
    """Gives batch norms statistics and scales of their own, so that none is the identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            if module.affine:
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.normal_(module.bias, 0, 0.2)
    return network.double().eval()


def angle_entries(generator, i, s, mean, std):
    """The gradient angle, one clip at a time, and gradients of its penalty."""
    found = {name: [] for name in ("d", "norm_grad_i", "norm_grad_s", "phi", "gap_per_sample")}
    for one in range(len(i)):
        first = i[one : one + 1].clone().requires_grad_()
        motion = s[one : one + 1].clone().requires_grad_()
        codes = generator.codes(first, motion)[0]
        d = (((codes[-1] - codes[0] - mean) / std).pow(2).sum() + 1e-12).sqrt()
        grads = torch.autograd.grad(d, (first, motion), create_graph=True)
        a, b = (g.pow(2).sum().sqrt() for g in grads)
        phi = torch.atan(b / a)
        lack = torch.relu(math.pi / 4 - phi) ** 2
        for name, value in zip(found, (d, a, b, phi, lack), strict=True):
            found[name].append(value)
    found = {name: torch.stack(values) for name, values in found.items()}
    found["gap_loss"] = found["gap_per_sample"].mean()
    last = generator.P.num_layers - 1
    names = {
        f"dL_dweight_hh_l{last}": getattr(generator.P, f"weight_hh_l{last}"),
        "dL_dweight_ih_l0": generator.P.weight_ih_l0,
        "dL_dH0": generator.H[0].weight,
    }
    grads = torch.autograd.grad(found["gap_loss"], list(names.values()))
    return found | dict(zip(names, grads, strict=True))


def penalty_entries(critic, real, fake, eta):
    points = (eta * real + (1 - eta) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points)
    norms = gradient.pow(2).sum((1, 2, 3)).sqrt()
    return {"gp_grad_norm": norms, "gp_unweighted": ((norms - 1) ** 2).mean()}


def entries(clips, frames, z, w, styles, *depths):
    cells, memory, trunk, embedding, channels = depths
    generator = disturb(Generator(z, w, styles, cells, memory, trunk))
    critic = disturb(Critic(frames, styles * w, embedding, channels))
    found = {
        "i": torch.randn(clips, z),
        "s": torch.randn(clips, frames - 1, z),
        "gap_mu": 0.3 * torch.randn(z),
        "gap_sigma": 0.5 + torch.rand(z),
        "real": torch.randn(clips, frames, styles, w),
        "eta": torch.rand(clips, 1, 1, 1),
    }
    found = {name: value.double() for name, value in found.items()}
    inputs = (found[name] for name in ("i", "s", "gap_mu", "gap_sigma"))
    found |= angle_entries(generator, *inputs)
    found["l"] = generator.codes(found["i"], found["s"])
    found["w"] = generator(found["l"]).detach()
    found |= {"critic_real": critic(found["real"]), "critic_fake": critic(found["w"])}
    found |= penalty_entries(critic, found["real"], found["w"], found["eta"])
    found |= {f"G.{key}": value for key, value in generator.state_dict().items()}
    return found | {f"C.{key}": value for key, value in critic.state_dict().items()}


def write(folder, small):
    """Writes one file per case; all of them are small."""
    for seed, (name, case) in enumerate(CASES.items()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found = entries(*case)
        arrays = {key: value.detach().numpy() for key, value in found.items()}
        save(folder / f"stylevideogan_{name}.npz", arrays)
