"""Diffusion: noising an image, and the two ways back, one step at a time.

Source: Ho et al., NeurIPS 2020 (DDPM), eq. 4, 7 and 11, algorithms 1 and 2, linear variances of sec. 4; Song et al.,
ICLR 2021 (DDIM), eq. 12 with sigma = 0.
Here step t counts from 0, the lightest noise, to 999. Both ways clip the image that they estimate to [-1, 1].
"""

import math
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

STEPS = 1000
BETAS = np.linspace(1e-4, 0.02, STEPS)  # variance that a step adds
KEPT = np.cumprod(1 - BETAS)  # alpha-bar: share of the image's variance that is left

Grid = Float[Tensor, "n c s s"]


def kept(step: int) -> float:
    """alpha-bar of a step; 1 for step -1, the image without noise."""
    return float(KEPT[step]) if step >= 0 else 1.0


def noised(images: Grid, noise: Grid, steps: Int[Tensor, " k"]) -> Grid:
    """sqrt(alpha-bar) x + sqrt(1 - alpha-bar) noise, at one step for all images or at one for each."""
    shares = torch.as_tensor(np.stack([np.sqrt(KEPT), np.sqrt(1 - KEPT)]), dtype=torch.float32, device=images.device)
    of_image, of_noise = shares[:, steps, None, None, None]  # (2, 1000) -> (k, 1, 1, 1) each
    return of_image * images + of_noise * noise


def estimated(noisy: Grid, epsilon: Grid, step: int) -> Grid:
    """The image whose noising at that step with `epsilon` is `noisy`, clipped to [-1, 1]."""
    left = kept(step)
    return ((noisy - math.sqrt(1 - left) * epsilon) / math.sqrt(left)).clamp(-1, 1)


def posterior_mean(image: Grid, noisy: Grid, step: int) -> Grid:
    """Mean of q(x[t-1] | x[t], x[0]): of what lies between the image and its noisy self."""
    left, before, beta = kept(step), kept(step - 1), float(BETAS[step])
    of_image, of_noisy = math.sqrt(before) * beta, math.sqrt(1 - beta) * (1 - before)
    return (of_image * image + of_noisy * noisy) / (1 - left)


def ddpm_step(noisy: Grid, epsilon: Grid, step: int, noise: Grid | None) -> Grid:
    """x[t-1] = mean of the posterior + sqrt(beta) noise; the last step, t = 0, adds none."""
    mean = posterior_mean(estimated(noisy, epsilon, step), noisy, step)
    return mean if noise is None else mean + math.sqrt(BETAS[step]) * noise


def ddim_step(noisy: Grid, epsilon: Grid, step: int, to: int) -> Grid:
    """From step t straight to a lighter one without new noise; to -1, the image itself.

    Where the estimated image was clipped, the noise is what then makes up `noisy`.
    """
    image, left, later = estimated(noisy, epsilon, step), kept(step), kept(to)
    rest = (noisy - math.sqrt(left) * image) / math.sqrt(1 - left)
    return math.sqrt(later) * image + math.sqrt(1 - later) * rest


def path(steps: int, count: int) -> list[tuple[int, int]]:
    """From the step that ends `steps` of noising to the image, -1, in `count` even jumps: (from, to), ..."""
    stops = np.rint(np.linspace(steps - 1, -1, count + 1)).astype(int).tolist()
    return list(pairwise(stops))
