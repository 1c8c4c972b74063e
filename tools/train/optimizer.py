"""The optimiser of every stage, and the weights under training with their moving average."""

import torch

from . import precision

# Matrices that are no inner ones: first and last layers, embeddings.
BY_ADAM = (
    "patch_embedding",
    "head.head",
    "token_embedding",
    "pos_embedding",
    "time_embedding",
    "encoder.conv1",
    "decoder.head",
    "norm_",
)


def orthogonal(gradients, rounds=5):
    """Matrices [n,rows,columns] with the gradients' directions and singular values near 1
    (Newton-Schulz).
    """
    x = gradients / (gradients.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.bfloat16() if precision.has_bfloat16(x.device) else x
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(rounds):
        s = x @ x.mT
        x = 3.4445 * x + torch.baddbmm(s, s, s, beta=-4.775, alpha=2.0315) @ x
    return (x.mT if tall else x).to(gradients.dtype)


class Learner:
    """Weights, their moving average, and what the optimiser knows of them.

    Inner matrices and kernels follow their orthogonalised momentum (Muon) at rate `muon`; all else,
    or all if `muon` is 0, follows Adam at rate `adam`.
    """

    def __init__(
        self,
        weights,
        adam,
        muon=0.0,
        betas=(0.9, 0.98),
        average=0.998,
        decay=0.01,
        clip=1.0,
        device="cpu",
    ):
        self.weights = {
            k: w.detach().clone().to(device).requires_grad_() for k, w in weights.items()
        }
        self.average = {k: w.detach().clone() for k, w in self.weights.items()}
        self.adam, self.muon, self.betas, self.decay, self.clip = adam, muon, betas, decay, clip
        self.keep, self.steps, self.momentum = average, 0, {}

    def is_inner(self, name, w):
        return (
            self.muon
            and w.ndim >= 2
            and min(w.shape[:2]) >= 16
            and name.endswith("weight")
            and not any(part in name for part in BY_ADAM)
        )

    @torch.no_grad()
    def step(self, scale=1.0):
        """One step along the gradients, which are then cleared. scale: of both rates. Returns the
        gradients' norm.
        """
        self.steps += 1
        b1, b2 = self.betas
        gradients = [w.grad for w in self.weights.values() if w.grad is not None]
        norm = torch.stack([g.float().square().sum() for g in gradients]).sum().sqrt()
        shrink = (self.clip / (norm + 1e-6)).clamp(max=1.0)
        inner = {}  # by their shape as a matrix: those of one shape are done together
        for name, w in self.weights.items():
            if w.grad is None:
                continue
            m = self.momentum.setdefault(name + " 1", torch.zeros_like(w))
            if self.is_inner(name, w):
                m.mul_(0.95).add_(w.grad)
                shape = (w.shape[0], w[0].numel())
                inner.setdefault(shape, []).append((w, w.grad.add(m, alpha=0.95).view(shape)))
            else:
                v = self.momentum.setdefault(name + " 2", torch.zeros_like(w))
                g = w.grad * shrink
                m.lerp_(g, 1 - b1)
                v.lerp_(g * g, 1 - b2)
                c1, c2 = 1 - b1**self.steps, 1 - b2**self.steps
                w.addcdiv_(m / c1, (v / c2).sqrt_().add_(1e-8), value=-self.adam * scale)
            w.grad = None
        for (rows, columns), group in inner.items():
            rate = self.muon * scale * max(1, rows / columns) ** 0.5
            directions = orthogonal(torch.stack([direction for _, direction in group]))
            for (w, _), direction in zip(group, directions):
                w.mul_(1 - self.muon * scale * self.decay)
                w.sub_(direction.view_as(w), alpha=rate)
        keep = min(
            self.keep, (1 + self.steps) / (10 + self.steps)
        )  # short at first, to be of use early
        for name, a in self.average.items():
            a.lerp_(self.weights[name].detach(), 1 - keep)
        return norm

    def state(self):
        weights = {k: w.detach() for k, w in self.weights.items()}
        return dict(weights=weights, average=self.average, momentum=self.momentum, steps=self.steps)

    @torch.no_grad()
    def restore(self, state):
        for name, w in self.weights.items():
            w.copy_(state["weights"][name])
            self.average[name].copy_(state["average"][name])
            for part in (" 1", " 2"):
                if name + part in state["momentum"]:
                    self.momentum[name + part] = state["momentum"][name + part].to(w.device)
        self.steps = state["steps"]


def ramp(done, warm=0.02, tail=0.4):
    """Factor of the rate at a fraction of the run: up, flat, straight down to 2 %."""
    if done < warm:
        return max(0.02, done / warm)
    return 1.0 if done < 1 - tail else max(0.02, (1 - done) / tail)
