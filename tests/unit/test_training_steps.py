"""A step and a validation value: gradients, clipping, several optimisers, precision, and compiling."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR
from trainings import NUMBERS, images, one_weight, run
from trainings import context as context_in

from uadbench.errors import EnvironmentProblemError, InvalidDataError, ParameterError
from uadbench.torch_support.training import Learner, gradient_step, mean_loss, train

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def test_a_gradient_step_goes_down_the_loss(context):
    weight = nn.Parameter(torch.tensor(3.0))
    step = gradient_step(lambda batch: (weight - 1) ** 2, torch.optim.SGD([weight], 0.1), context)
    losses = [step(NUMBERS, 0), step(NUMBERS, 0)]
    assert losses == [4.0, pytest.approx(1.6**2)]
    assert weight.item() == pytest.approx(1 + 2 * 0.8**2)
    assert not losses[0].requires_grad


@pytest.mark.parametrize(("bound", "moved"), [(0.0, 10.0), (2.0, 2.0), (100.0, 10.0)])
def test_clipping_bounds_the_norm_of_all_gradients_together(bound, moved, context):
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    slopes = torch.tensor([6.0, 0.0]), torch.tensor([8.0])  # a norm of 10
    optimiser = torch.optim.SGD(weights, 1.0)

    def loss(batch):
        return sum((weight * slope).sum() for weight, slope in zip(weights, slopes, strict=True))

    gradient_step(loss, optimiser, context, clip_norm=bound)(NUMBERS, 0)
    assert torch.cat([weight.detach() for weight in weights]).norm().item() == pytest.approx(moved, rel=1e-5)


@pytest.mark.parametrize("bound", [-1.0, float("nan")])
def test_a_bound_below_zero_is_refused(bound, context):
    with pytest.raises(ParameterError, match=f"clip_norm is {bound}. Give a norm above 0"):
        gradient_step(torch.mean, torch.optim.SGD(one_weight().parameters(), 0.1), context, clip_norm=bound)


def test_a_step_with_several_optimisers_uses_the_same_loop(context):
    judge, maker, rates = one_weight(1.0), one_weight(1.0), []
    optimisers = torch.optim.SGD(judge.parameters(), 0.01), torch.optim.SGD(maker.parameters(), 0.02)
    updates = [
        gradient_step(lambda batch, layer=layer: layer.weight.square().sum(), optimiser, context)
        for layer, optimiser in zip((judge, maker), optimisers, strict=True)
    ]

    def step(batch, epoch):
        rates.append([optimiser.param_groups[0]["lr"] for optimiser in optimisers])
        return torch.stack([update(batch, epoch) for update in updates]).sum()

    schedulers = tuple(StepLR(optimiser, 1, gamma=0.5) for optimiser in optimisers)
    train(Learner(nn.ModuleList([judge, maker]), step, optimisers, schedulers), *run(context, batch=9))
    assert rates == [[0.01, 0.02], [0.005, 0.01]]
    assert judge.weight.item() == pytest.approx((1 - 0.02) * (1 - 0.01))
    assert maker.weight.item() == pytest.approx((1 - 0.04) * (1 - 0.02))


@pytest.mark.parametrize("batch", [2, 4, 9, 100])
def test_a_mean_loss_weighs_every_image_alike(batch, context):
    validate = mean_loss(lambda part: part.mean(), NUMBERS, batch, context)
    assert validate() == pytest.approx(4.0)


def test_a_mean_loss_leaves_the_random_state_alone(context):
    before = torch.get_rng_state()
    mean_loss(lambda part: torch.rand(()), NUMBERS, 4, context)()
    assert torch.equal(before, torch.get_rng_state())


def test_a_mean_loss_of_no_images_is_refused(context):
    with pytest.raises(InvalidDataError, match=r"no validation images to choose the best epoch on"):
        mean_loss(lambda part: part.mean(), NUMBERS[:0], 4, context)


@pytest.mark.parametrize(
    ("precision", "kind"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)], ids=["float32", "bfloat16"]
)
def test_layers_compute_in_the_context_s_precision_and_weights_stay_float32(precision, kind, tmp_path):
    layer, kinds = one_weight(), []

    def loss(batch):
        kinds.append(layer(batch).dtype)
        return layer(batch).float().square().mean()

    context = context_in(tmp_path, precision=precision)
    step = gradient_step(loss, torch.optim.SGD(layer.parameters(), 0.001), context)
    validate = mean_loss(loss, NUMBERS, 9, context)
    train(Learner(layer, step, validate=validate), *run(context, 1, batch=9))
    assert kinds == [kind, kind]
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32


def losses_of(context, *, compiled):
    """The losses of a few steps of a small network."""
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 8))
    optimiser = torch.optim.Adam(layer.parameters(), 0.01)
    step = gradient_step(lambda batch: (layer(batch) - batch).square().mean(), optimiser, context, compiled=compiled)
    return [step(images()[start : start + 4], 0).item() for start in (0, 4, 6)]


@pytest.mark.slow
def test_a_compiled_loss_is_the_loss(context):
    try:
        compiled = losses_of(context, compiled=True)
    except EnvironmentProblemError as error:
        pytest.skip(str(error))
    assert compiled == pytest.approx(losses_of(context, compiled=False), rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled")
def test_compiling_without_a_compiler_ends_in_a_sentence(context, monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", (None, "/no/such/compiler"))
    monkeypatch.setattr(config, "force_disable_caches", True)
    torch.compiler.reset()
    with pytest.raises(EnvironmentProblemError, match=r"torch.compile failed here .*leave `compiled` off"):
        losses_of(context, compiled=True)
