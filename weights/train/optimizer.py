"""The optimizer: Muon for the matrices of the convolutions, AdamW for everything else; a limit of the gradient."""
import math
import statistics
from collections import deque

import torch


class GradientLimit:
    """Scales a gradient down to twice the median norm of the last gradients.

    The size of a Muon step does not depend on the gradient, so a batch whose gradient is 50 times as large as the
    others' decides the direction of the next 80 steps: until 0.95^n, the decay of the momentum, makes up for it. The
    median, unlike the mean, does not follow such batches, even where one of three is so.
    """

    TIMES, WINDOW = 2.0, 100

    def __init__(self):
        self.norms = deque(maxlen=self.WINDOW)

    def median(self):
        """None before the first gradient."""
        return statistics.median(self.norms) if self.norms else None

    def start_from(self, median):
        self.norms.extend([median] * self.WINDOW)

    @torch.no_grad()
    def apply(self, gradient, losses):
        """Whether all is finite. Changes nothing where it is not: such a step is better left out."""
        norm = float(gradient.norm())
        if not (math.isfinite(norm) and losses.isfinite().all()):
            return False
        self.norms.append(norm)
        limit = self.TIMES * self.median()
        if norm > limit:
            gradient.mul_(limit / norm)
        return True


def orthogonalized(matrices):
    """Each matrix of a batch (n, rows, columns), replaced by about U V^T of its singular value decomposition.

    Newton-Schulz iterations as in Muon (Jordan et al., 2024), with the coefficients given there: five bring all
    singular values to between 0.7 and 1.2, which is near enough.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    # Each iterate is a polynomial of the small Gram matrix times x, so only the polynomials are iterated. The products
    # with long rows are one by one: PyTorch's batched product is several times slower on a CPU.
    gram = torch.stack([matrix @ matrix.t() for matrix in x])
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    polynomial = identity.expand_as(gram)
    for _ in range(5):
        square = polynomial @ polynomial @ gram
        polynomial = (a * identity + b * square + c * square @ square) @ polynomial
    x = torch.stack([left @ right for left, right in zip(polynomial, x)])
    return x.transpose(1, 2) if tall else x


class Muon:
    """For a flat vector of parameters: tensors of two and more dimensions whose smaller side, as a matrix
    (outputs, inputs * kernel), is 8 or more get orthogonalized momentum, others AdamW steps.

    A Muon step has the size of AdamW's, 0.2 of the rate in every element (Liu et al., "Muon is Scalable for LLM
    Training", 2025, section 2.2), where the smaller side is 16. Elsewhere its largest singular value is what it is
    there, as in Yang et al., "A Spectral Condition for Feature Learning", 2023: how much a layer's outputs change does
    not grow with the number of channels. So one learning rate serves AdamW's parameters too, and any width.

    The last tensor gets a tenth of that: its outputs are pixels, of which errors of 1/255 count, and those of other
    layers are features of the size of 1. With whole steps, noise of the gradient is noise of the picture. (Where images
    are not unshuffled it has 3 rows, so that AdamW has it.)

    With `threads`, native/ computes the step on the CPU; otherwise PyTorch does, which is the reference of the tests.
    """

    MOMENTUM, BETAS, EPSILON, DECAY = 0.95, (0.9, 0.99), 1e-8, 0.01
    LAST = 0.1

    def __init__(self, parameters, shapes, use_muon=True, threads=None):
        self.parameters = parameters
        self.first = torch.zeros_like(parameters)
        self.steps = 0
        self.matrices = []  # (offset, rows, columns, scale of a step)
        offset = 0
        for number, shape in enumerate(shapes, 1):
            rows, columns = shape[0], shape[1:].numel()
            if use_muon and len(shape) > 1 and min(rows, columns) >= 8:
                scale = 0.8 * (max(rows, columns) / min(rows, columns)) ** 0.5
                self.matrices.append((offset, rows, columns, self.LAST * scale if number == len(shapes) else scale))
            offset += shape.numel()
        is_adam = torch.ones_like(parameters, dtype=torch.bool)
        for offset, rows, columns, _ in self.matrices:
            is_adam[offset:offset + rows * columns] = False
        # Where AdamW works; only there is a second moment.
        self.adam = is_adam.nonzero().flatten() if self.matrices else slice(None)
        self.second = torch.zeros_like(parameters[self.adam])
        self.native = None
        if threads:
            from native import Optimizer
            self.native = Optimizer(self.matrices, parameters.numel(), threads)

    def state_dict(self):
        return {"steps": self.steps, "first": self.first, "second": self.second}

    def load_state_dict(self, state):
        self.steps = state["steps"]
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])

    @torch.no_grad()
    def step(self, gradient, rate, average=None, share=0.0):
        """Changes the parameters, and moves their average by a share of the way to them."""
        self.steps += 1
        one, two = self.BETAS
        average = self.parameters if average is None else average
        if self.native is not None:
            self.native.step(self.parameters, gradient, self.first, self.second, average, rate, self.MOMENTUM, one, two,
                             self.EPSILON, self.DECAY, 1 - one ** self.steps, 1 - two ** self.steps, share)
            return
        update = torch.empty_like(gradient)
        adam_gradient = gradient[self.adam]
        adam_first = self.first[self.adam] * one + adam_gradient * (1 - one)
        self.second.mul_(two).addcmul_(adam_gradient, adam_gradient, value=1 - two)
        scale = (self.second / (1 - two ** self.steps)).sqrt_().add_(self.EPSILON)
        update[self.adam] = adam_first / (1 - one ** self.steps) / scale
        # Where Muon works, `first` is its momentum; its Nesterov step looks one gradient ahead.
        self.first.mul_(self.MOMENTUM).add_(gradient)
        ahead = gradient + self.MOMENTUM * self.first
        self.first[self.adam] = adam_first
        batches = {}  # matrices of one shape are orthogonalized together
        for offset, rows, columns, scale in self.matrices:
            batches.setdefault((rows, columns, scale), []).append(slice(offset, offset + rows * columns))
        for (rows, columns, scale), places in batches.items():
            matrices = orthogonalized(torch.stack([ahead[place].view(rows, columns) for place in places]))
            matrices *= scale
            for place, matrix in zip(places, matrices):
                update[place] = matrix.flatten()
        self.parameters.mul_(1 - rate * self.DECAY).sub_(update, alpha=rate)
        average.lerp_(self.parameters, share)
