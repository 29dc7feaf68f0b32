"""
Muon (Jordan et al. 2024) for the matrices of a model, AdamW for the rest.
"""

import torch

# A quintic whose iterates bring every singular value near 1, in few steps rather than exactly.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
BETAS = (0.9, 0.95)
EPS = 1e-8


def orthogonal(matrix):
    """The nearest half-orthogonal matrix, roughly: singular values between about 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrix else x.T


class Muon(torch.optim.Optimizer):
    """
    Groups with `orthogonal` hold matrices [out, in] and are stepped along the orthogonalised momentum, scaled to the size
    of an Adam step (Liu et al. 2025, arXiv 2502.16982), so that all groups share one learning rate and weight decay.
    """

    def __init__(self, groups):
        groups = [group for group in groups if group["params"]]
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, "orthogonal": False})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            update = self.momentum_update if group["orthogonal"] else self.adam_update
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update(self.state[parameter], parameter.grad), alpha=-group["lr"])

    def momentum_update(self, state, gradient):
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = torch.lerp(gradient, state["momentum"], MOMENTUM)  # Nesterov
        return 0.2 * max(gradient.shape) ** 0.5 * orthogonal(ahead)

    def adam_update(self, state, gradient):
        if not state:
            state.update(step=0, mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - BETAS[1])
        mean, square = (state[key] / (1 - beta ** state["step"]) for key, beta in zip(("mean", "square"), BETAS))
        return mean / (square.sqrt() + EPS)
