"""Training: the two updates of a step, what each may change, where gradients stop, and what a method's fields do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from uadbench_introspective._losses import Round, decoder_loss, encoder_loss
from uadbench_introspective._networks import IntrospectiveNetworks
from uadbench_introspective._training import DRAWS, decoder_pass, encoder_pass, introspective_step, learner
from uadbench_introspective.ra import ReversedAutoencoder
from uadbench_introspective.si_vae import SoftIntroVae

from uadbench import FitContext
from uadbench.errors import InvalidDataError, TrainingDivergedError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SHORT = {"latent": 8, "width": 4, "size": 32, "epochs": 1, "batch": 4, "lr": 1e-3, "block": 4}
RA = ReversedAutoencoder(**SHORT, perceptual=False)
SI_VAE = SoftIntroVae(**SHORT)
METHODS = pytest.mark.parametrize("method", [SI_VAE, RA], ids=["si-vae", "ra"])
TEST = blobs(3, 40, 36, seed=3)
SPOT = np.s_[:, :, 12:18, 13:19]
WEIGHTS = replace(RA.loss_weights, gamma=0.5)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def networks() -> IntrospectiveNetworks:
    torch.manual_seed(0)
    return RA.network(1).train()


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=1).pixels)


def noise(count: int = 4) -> torch.Tensor:
    return torch.randn(DRAWS, count, 8, generator=torch.Generator().manual_seed(2))


def source(count: int = 8, side: int = 32, channels: int = 1, seed: int = 2) -> MemorySource:
    grey = blobs(count, side, side, seed=seed)
    return MemorySource(replace(grey, pixels=np.repeat(grey.pixels, channels, axis=1)))


def fitted(method, context):
    return method.fit(source(), source(4, seed=3), context)


def named(made: IntrospectiveNetworks) -> dict[str, torch.Tensor]:
    return {name: weights.detach().clone() for name, weights in made.named_parameters()}


def published_step(
    made: IntrospectiveNetworks, images: torch.Tensor, drawn: torch.Tensor, weights, rate: float
) -> None:
    """Both updates as they are published: everything computed anew for the decoder's, the other network held still."""

    def rounds(rec, fake, *draws, held):
        for one, draw in zip((rec, fake), draws, strict=True):
            encoded = made.encoder(one)
            codes = encoded.sampled(draw)
            yield Round(one, encoded, made.decoder(codes.detach() if held else codes))

    encoded = made.encoder(images)
    rec, fake = made.decoder(encoded.sampled(drawn[0])), made.decoder(drawn[1])
    real = Round(images, encoded, rec)
    judged = rounds(rec.detach(), fake.detach(), *drawn[2:4], held=False)
    descend(encoder_loss(real, *judged, weights), made.encoder, rate)
    rec, fake = made.decoder(encoded.sampled(drawn[0]).detach()), made.decoder(drawn[1])
    judged = rounds(rec, fake, *drawn[4:], held=True)
    descend(decoder_loss(Round(images, encoded, rec), *judged, weights), made.decoder, rate)


def descend(loss: torch.Tensor, part: torch.nn.Module, rate: float) -> None:
    own = list(part.parameters())
    for weights, slope in zip(own, torch.autograd.grad(loss, own), strict=True):
        weights.data -= rate * slope


def test_a_step_is_both_published_updates_although_it_shares_passes(context):
    shared, anew = networks(), networks()
    step = introspective_step(
        shared, [torch.optim.SGD(part.parameters(), 0.1) for part in (shared.encoder, shared.decoder)], WEIGHTS, context
    )
    for number in range(2):
        torch.manual_seed(number)
        drawn = anew.noise(DRAWS, 4)
        torch.manual_seed(number)
        step(grid(), 0)
        published_step(anew, grid(), drawn, WEIGHTS, 0.1)
    for name, weights in named(shared).items():
        torch.testing.assert_close(weights, named(anew)[name], atol=1e-6, rtol=1e-4)


def test_the_loss_of_a_step_is_the_sum_of_both(context):
    made = networks()
    still = [torch.optim.SGD(part.parameters(), 0.0) for part in (made.encoder, made.decoder)]
    torch.manual_seed(5)
    drawn = made.noise(DRAWS, 4)
    first, real, fake = encoder_pass(made, grid(), drawn, WEIGHTS)
    second = decoder_pass(made, real, fake, drawn, WEIGHTS)
    torch.manual_seed(5)
    found = introspective_step(made, still, WEIGHTS, context)(grid(), 0)
    assert found.item() == pytest.approx(first.item() + second.item(), rel=1e-6)
    assert not found.requires_grad


@METHODS
@pytest.mark.parametrize(("place", "changed"), [(0, "encoder"), (1, "decoder")])
def test_each_update_changes_its_own_weights_alone(place, changed, method, context):
    made = networks()
    rates = [0.0, 0.0]
    rates[place] = 0.1
    parts = zip((made.encoder, made.decoder), rates, strict=True)
    optimisers = [torch.optim.Adam(part.parameters(), rate) for part, rate in parts]
    before = named(made)
    introspective_step(made, optimisers, method.loss_weights, context)(grid(), 0)
    moved = {name for name, weights in made.named_parameters() if not torch.equal(before[name], weights)}
    assert moved == {name for name in before if name.startswith(changed)}


def test_the_paper_s_networks_make_one_step(context):
    method = ReversedAutoencoder(gamma_r=0.0)
    torch.manual_seed(0)
    made = method.network(1).train()
    before = named(made)
    loss = learner(method, made, torch.rand(1, 1, 128, 128), context).step(torch.rand(1, 1, 128, 128), 0)
    assert torch.isfinite(loss)
    moved = [not torch.equal(before[name], weights) for name, weights in made.named_parameters()]
    assert sum(moved) > 0.95 * len(moved)


def slope_of_error(real: Round, rec: float) -> torch.Tensor:
    """Of s b_rec mean SSE with respect to the reconstruction: 2 s b_rec (x_hat - x) / n."""
    return 2 * rec * (real.seen - real.images).detach() / real.images.numel()


def test_for_the_encoder_what_the_decoder_made_is_data():
    loss, real, fake = encoder_pass(networks(), grid(), noise(), WEIGHTS)
    slope, none = torch.autograd.grad(loss, (real.seen, fake), allow_unused=True)
    torch.testing.assert_close(slope, slope_of_error(real, WEIGHTS.rec), atol=1e-8, rtol=1e-4)
    assert none is None


def test_for_the_decoder_latents_and_the_images_of_its_small_term_are_data():
    made, weights = networks(), replace(WEIGHTS, kl=0.0)
    _, real, fake = encoder_pass(made, grid(), noise(), weights)
    loss = decoder_pass(made, real, fake, noise(), weights)
    slope, none = torch.autograd.grad(loss, (real.seen, fake), allow_unused=True, retain_graph=True)
    torch.testing.assert_close(slope, slope_of_error(real, WEIGHTS.rec), atol=1e-8, rtol=1e-4)
    assert none is None or not none.any()


def test_through_the_encoder_the_decoder_learns_to_make_likely_images():
    made, weights = networks(), replace(WEIGHTS, rec=0.0)
    _, real, fake = encoder_pass(made, grid(), noise(), weights)
    loss = decoder_pass(made, real, fake, noise(), weights)
    assert all(slope.any() for slope in torch.autograd.grad(loss, (real.seen, fake)))


@METHODS
def test_validation_is_the_squared_error_of_the_posterior_s_mean(method, context):
    made = networks().eval()
    with torch.no_grad():
        found = learner(method, made, grid(6), context).validate()
        expected = F.mse_loss(made.decoder(made.encoder(grid(6)).mean), grid(6))
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_validation_of_a_sampling_method_samples_and_leaves_the_random_state(context):
    made, method = networks().eval(), replace(RA, test_sampling="sample")
    before = torch.get_rng_state()
    with torch.no_grad():
        found = learner(method, made, grid(6), context).validate()
        mean = learner(RA, made, grid(6), context).validate()
    assert found != mean
    assert torch.equal(before, torch.get_rng_state())


def rates(method, epochs: int, context) -> list[float]:
    """Of both optimisers after so many epochs."""
    made = learner(method, networks(), grid(), context)
    for _ in range(epochs):
        for part in (*made.optimisers, *made.schedulers):
            part.step()
    return [one.param_groups[0]["lr"] for one in made.optimisers]


@pytest.mark.parametrize(("method", "milestone"), [(SI_VAE, 350), (RA, 100)], ids=["si-vae", "ra"])
def test_with_the_schedule_both_learning_rates_fall_to_a_tenth_at_the_milestone(method, milestone, context):
    active = replace(method, lr_schedule_active=True)
    assert rates(active, milestone - 1, context) == [1e-3, 1e-3]
    assert rates(active, milestone, context) == pytest.approx([1e-4, 1e-4])
    assert rates(method, milestone, context) == [1e-3, 1e-3]


@pytest.mark.parametrize(("mode", "moves"), [("train", True), ("eval", False)])
def test_batch_statistics_move_in_train_mode_and_stay_in_eval_mode(mode, moves, context):
    network = fitted(replace(SI_VAE, bn_mode=mode, epochs=1), context).network
    statistics = [value for name, value in network.named_buffers() if name.endswith("running_mean")]
    assert [bool(value.any()) for value in statistics] == [moves] * len(statistics)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, one_torch_thread):
    """A detector as the fields say."""
    return fitted(SI_VAE, FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("plain")))


CHANGES = [
    *({"beta_rec": 2.0}, {"beta_kl": 4.0}, {"beta_neg": 4.0}, {"gamma_r": 10.0}),
    *({"augment": True}, {"lr": 2e-3}, {"bn_mode": "eval"}),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_field_of_a_training_reaches_it(change, plain, context):
    changed = fitted(replace(SI_VAE, **change), context)
    assert changed.predict(TEST).maps.tobytes() != plain.predict(TEST).maps.tobytes()


def test_training_takes_a_bright_spot_out(context):
    healthy, test = blobs(16, 32, 32, seed=2), blobs(4, 32, 32, seed=3)
    planted = test.pixels.copy()
    planted[SPOT] = 1.0
    method = replace(RA, epochs=8, lr=5e-3, beta_neg=512.0, beta_kl=0.25, gamma_r=0.0, augment=False)
    seen = method.fit(MemorySource(healthy), MemorySource(test), context).predict(replace(test, pixels=planted))
    apart = np.abs(seen.reconstructions - test.pixels)[SPOT].mean()
    assert apart < 0.8 * np.abs(planted - test.pixels)[SPOT].mean()


def test_samples_depend_on_the_image_and_the_seed_alone(plain):
    detector = replace(plain, method=replace(SI_VAE, test_sampling="sample"))
    whole = detector.predict(TEST).maps
    alone = [detector.predict(TEST[row : row + 1]).maps[0] for row in range(len(TEST))]
    assert all(map(np.array_equal, alone, whole))
    for other in (replace(detector, seed=1), plain):
        assert not any(map(np.array_equal, whole, other.predict(TEST).maps))


@METHODS
def test_a_loss_that_is_not_finite_ends_the_training(method, context):
    with pytest.raises(TrainingDivergedError, match=r"Lower the learning rate"):
        fitted(replace(method, lr=1e6, epochs=3), context)


@METHODS
def test_images_smaller_than_the_encoder_s_stride_are_refused(method, context):
    method = replace(method, size=64)
    with pytest.raises(InvalidDataError, match=r"Images of 15 x 15 px are smaller than .* size 64, which is 16 px"):
        method.fit(source(side=15), source(side=15), context)


def test_validation_images_of_other_channels_are_refused(context):
    with pytest.raises(InvalidDataError, match=r"Training images have 1 channels, validation images 3"):
        SI_VAE.fit(source(), source(channels=3), context)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(plain, tmp_path):
    contexts = [FitContext(seed, "cpu", "float32", tmp_path / str(seed)) for seed in (0, 1)]
    same, other = (fitted(SI_VAE, each).predict(TEST).maps.tobytes() for each in contexts)
    assert plain.predict(TEST).maps.tobytes() == same != other


def test_a_saved_detector_comes_back_with_the_same_bytes(plain, tmp_path):
    plain.save(tmp_path / "detector")
    again = SoftIntroVae.load(tmp_path / "detector", "cpu")
    assert again.method == SI_VAE
    assert again.predict(TEST).maps.tobytes() == plain.predict(TEST).maps.tobytes()
