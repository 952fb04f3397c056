"""Training the inpainting: what each update changes, where the mask comes in, and which epoch is kept."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from uadbench_phanes._inpainting import InpaintingNetworks, composed
from uadbench_phanes._losses import Weights, likeness, passing, unmasking
from uadbench_phanes._masks import joined, split
from uadbench_phanes._training import inpainting_step, learner
from uadbench_phanes.phanes import Phanes

from uadbench import FitContext
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

WEIGHTS = Weights(style=2.0, perceptual=0.5, adversarial=0.3)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def networks() -> InpaintingNetworks:
    torch.manual_seed(0)
    return InpaintingNetworks(1, 4, 1).train()


def batch(count: int = 4) -> torch.Tensor:
    masks = torch.zeros(count, 1, 40, 40, dtype=torch.bool)
    masks[:, :, 10:20, 14:24] = True
    return joined(torch.as_tensor(blobs(count, 40, 40, seed=1).pixels), masks)


def features(made: torch.Tensor, images: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"style": (made.mean() - images.mean()).abs(), "perceptual": F.mse_loss(made, images)}


def named(made: InpaintingNetworks) -> dict[str, torch.Tensor]:
    return {name: weights.detach().clone() for name, weights in made.named_parameters()}


def step(made: InpaintingNetworks, context: FitContext, weights=WEIGHTS, rates=(0.1, 0.1)):
    parts = zip((made.generator, made.discriminator), rates, strict=True)
    optimisers = [torch.optim.SGD(part.parameters(), rate) for part, rate in parts]
    return inpainting_step(made, optimisers, features, weights, context)(batch(), 0)


@pytest.mark.parametrize(("rates", "changed"), [((0.1, 0.0), "generator"), ((0.0, 0.1), "discriminator")])
def test_each_update_changes_its_own_network_alone(rates, changed, context):
    made = networks()
    before = named(made)
    step(made, context, rates=rates)
    moved = {name.partition(".")[0] for name, weights in named(made).items() if not torch.equal(before[name], weights)}
    assert moved == {changed}


def test_the_loss_is_that_of_the_generator_and_of_the_discriminator(context):
    made, again = networks(), networks()
    images, masks = split(batch())
    seen = again.generator(images, masks)
    fake = composed(images, seen, masks)
    first = likeness(seen, images, features, WEIGHTS) + 0.3 * passing(again.discriminator(fake), masks)
    second = unmasking(*again.discriminator(torch.cat([fake, images])).chunk(2), masks)
    found = step(made, context, rates=(0.0, 0.0))
    assert found.item() == pytest.approx((first + second).item(), rel=1e-5)


def test_without_an_adversarial_weight_the_discriminator_stays_and_the_generator_learns_otherwise(context):
    plain, without = networks(), networks()
    step(plain, context)
    loss = step(without, context, Weights(2.0, 0.5, 0.0))
    before = named(networks())
    assert all(torch.equal(before[name], one) for name, one in named(without).items() if name.startswith("disc"))
    different = [not torch.equal(named(plain)[name], one) for name, one in named(without).items() if "gener" in name]
    assert any(different)
    assert not loss.requires_grad


def test_the_adversary_reaches_the_generator_through_the_mask_alone():
    made = networks()
    images, masks = split(batch())
    seen = made.generator(images, masks).detach().requires_grad_()
    passing(made.discriminator(composed(images, seen, masks)), masks).backward()
    assert seen.grad[masks > 0].any()
    assert not seen.grad[masks == 0].any()


def test_validation_is_the_squared_error_of_the_composed_image(context):
    made, val = networks().eval(), batch(6)
    images, masks = split(val)
    with torch.no_grad():
        found = learner(Phanes(stage1_preset="quick"), made, features, val, context).validate()
        seen = made.generator(images, masks).clamp(0, 1)
    squared = ((seen - images) ** 2 * masks).numpy()
    assert found == pytest.approx(np.mean(squared), rel=1e-5)


def test_the_paper_s_networks_make_one_step(context):
    method = Phanes(stage1_preset="quick")
    torch.manual_seed(0)
    made = method.network(1).train()
    before = named(made)
    images = torch.rand(1, 1, 64, 64)
    masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    masks[..., 20:30, 20:30] = True
    loss = learner(method, made, features, joined(images, masks), context).step(joined(images, masks), 0)
    assert torch.isfinite(loss)
    moved = [not torch.equal(before[name], weights) for name, weights in made.named_parameters()]
    assert sum(moved) > 0.95 * len(moved)
