"""Which pixels the discrepancy hangs on: its gradient by the image, plain, over noisy copies, or guided.

Every image's gradient is its own, whatever else is in the batch: the networks are in eval mode, and noise is drawn
from a stream of the image.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

Images = Float[Tensor, "n 3 s s"]
Loss = Callable[[Images], Float[Tensor, " n"]]
CLIPPED = 0.99  # the quantile that is the most anomalous of an image's own range


def gradient(loss: Loss, images: Images) -> tuple[Float[Tensor, " n"], Images]:
    """The loss of each image, and its gradient by that image; also where the caller has switched gradients off."""
    with torch.enable_grad():
        varied = images.detach().clone().requires_grad_()
        values = loss(varied)
        (slopes,) = torch.autograd.grad(values.sum(), varied)
    return values.detach(), slopes


def smooth_gradient(
    loss: Loss, images: Images, streams: Sequence[torch.Generator], *, samples: int, noise: float
) -> Images:
    """The mean gradient over noisy copies of each image; the deviation of the noise is `noise` times its range.

    Source: Smilkov et al., SmoothGrad, arXiv:1706.03825.
    """
    flat = images.flatten(1)
    deviation = noise * (flat.amax(1) - flat.amin(1)).view(-1, 1, 1, 1)
    total = torch.zeros_like(images)
    for _ in range(samples):
        drawn = torch.stack([torch.randn(images.shape[1:], generator=stream) for stream in streams])
        total += gradient(loss, images + deviation * drawn.to(images.device))[1]
    return total / samples


@contextmanager
def guided(*networks: nn.Module) -> Iterator[None]:
    """In here every ReLU of the networks passes back only what is positive, of gradient and of signal.

    It acts on what is computed in here, also if the gradient is taken later.

    Source: Springenberg et al., Striving for simplicity, ICLR 2015 workshop, arXiv:1412.6806.
    """
    rectifiers = [one for network in networks for one in network.modules() if isinstance(one, nn.ReLU | nn.ReLU6)]
    handles = [one.register_forward_hook(_pass_back_positive) for one in rectifiers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def strength(slopes: Images) -> Float[Tensor, "n 1 s s"]:
    """How much each pixel matters: the gradient's absolute value, summed over channels."""
    return slopes.abs().sum(1, keepdim=True)


def in_own_range(maps: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 s s"]:
    """Each map stretched from its minimum and its 99th percentile to [0, 1], clipped above; 0 if the two are equal."""
    flat = maps.flatten(1)
    low = flat.amin(1).view(-1, 1, 1, 1)
    width = flat.quantile(CLIPPED, dim=1).view(-1, 1, 1, 1) - low
    stretched = ((maps - low) / torch.where(width > 0, width, 1)).clamp(max=1)
    return torch.where(width > 0, stretched, 0)


def _pass_back_positive(_module: nn.Module, _given: tuple[Tensor, ...], output: Tensor) -> None:
    # the ReLU's own backward then sets to zero where its input was not positive
    if output.requires_grad:
        output.register_hook(lambda slope: slope.clamp(min=0))
