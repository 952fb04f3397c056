"""VQ-VAE-2: its two levels, how codes are chosen and follow, its loss, and that codes limit what is reconstructed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from uadbench_autoencoders._quantising import Codebook, TwoLevelNetwork
from uadbench_autoencoders.vq_vae import VectorQuantisedVae, absolute_error

from uadbench import FitContext, Progress, plugins
from uadbench.errors import ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.training import Learner, Schedule, gradient_step, mean_loss, train

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = VectorQuantisedVae(width=8, embedding=4, codes=16, size=32, epochs=2, steps=3, batch=4)
DECAY, EPSILON = 0.9, 1e-5


class KilledError(Exception):
    """Ends a training from inside, as a signal would."""


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def tiny_network(method: VectorQuantisedVae = TINY) -> TwoLevelNetwork:
    torch.manual_seed(0)
    return method.network(1)


def codebook(codes: int = 6, embedding: int = 3) -> Codebook:
    torch.manual_seed(0)
    return Codebook(codes, embedding, DECAY)


def latents(count: int = 2, embedding: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, embedding, 4, 5, generator=torch.Generator().manual_seed(seed))


def rows(maps: torch.Tensor) -> np.ndarray:
    """The vectors of all places, one per row."""
    return maps.detach().permute(0, 2, 3, 1).flatten(0, 2).numpy()


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=1).pixels)


def trained(method: VectorQuantisedVae, context: FitContext):
    return method.fit(MemorySource(blobs(8, 32, 32, seed=2)), MemorySource(blobs(4, 32, 32, seed=3)), context)


def convolution(inner: int, outer: int, kernel: int) -> int:
    return kernel**2 * inner * outer + outer


def test_the_network_has_as_many_parameters_as_the_published_one():
    blocks = 2 * (convolution(128, 32, 3) + convolution(32, 128, 1))
    bottom = convolution(1, 64, 4) + convolution(64, 128, 4) + convolution(128, 128, 3) + blocks
    top = convolution(128, 64, 4) + convolution(64, 128, 3) + blocks
    between = convolution(128, 64, 1) + convolution(64, 128, 3) + blocks + convolution(128, 64, 4)
    image = convolution(128, 128, 3) + blocks + convolution(128, 64, 4) + convolution(64, 1, 4)
    by_hand = bottom + top + between + convolution(64 + 128, 64, 1) + convolution(64, 64, 4) + image
    count = sum(weights.numel() for weights in VectorQuantisedVae().network(1).parameters())
    assert count == by_hand == 1_384_769


def test_codebooks_are_no_parameters_but_are_kept():
    network = VectorQuantisedVae().network(1)
    kept = {name: tuple(state.shape) for name, state in network.named_buffers()}
    shapes = {"vectors": (512, 64), "counts": (512,), "sums": (512, 64)}
    assert kept == {f"{level}.{name}": shape for level in ("top", "bottom") for name, shape in shapes.items()}
    assert set(kept) < set(network.state_dict())


def test_the_latents_are_a_quarter_and_an_eighth_of_the_side():
    with torch.no_grad():
        bottom, top, _ = VectorQuantisedVae().network(1).encode(torch.zeros(2, 1, 256, 256))
    assert bottom.shape == (2, 64, 64, 64)
    assert top.shape == (2, 64, 32, 32)


def test_the_paper_s_network_makes_one_step():
    method = VectorQuantisedVae()
    network = tiny_network(method)
    loss = method.loss(network, torch.rand(2, 1, 256, 256, generator=torch.Generator().manual_seed(0)))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


@pytest.mark.parametrize("size", [8, 24, 32])
def test_images_of_every_multiple_of_eight_come_back_in_their_shape(size):
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert TINY.network(3)(images)[0].shape == images.shape


def test_the_bottom_level_knows_the_top_one():
    network = tiny_network().eval()
    before, top_before, _ = network.encode(grid())
    nn.init.constant_(network.decoder_top[-1].bias, 5.0)
    after, top_after, _ = network.encode(grid())
    assert torch.equal(top_before, top_after)
    assert not torch.equal(before, after)


def test_the_image_is_made_of_both_levels():
    network = tiny_network().eval()
    bottom, top, _ = network.encode(grid())
    seen = network.decode(bottom, top)
    assert not torch.equal(network.decode(bottom + 1, top), seen)
    assert not torch.equal(network.decode(bottom, top + 1), seen)


def test_the_nearest_code_is_that_of_a_search_through_all():
    codes, places = codebook().vectors.numpy(), rows(latents())
    expected = [min(range(6), key=lambda code: float(np.sum((place - codes[code]) ** 2))) for place in places]
    assert len(set(expected)) > 1
    assert codebook().nearest(torch.as_tensor(places)).tolist() == expected


def test_quantised_latents_are_rows_of_the_codebook_at_the_place_of_their_latent():
    book = codebook().eval()
    chosen = book.nearest(torch.as_tensor(rows(latents())))
    np.testing.assert_array_equal(rows(book(latents())[0]), book.vectors.numpy()[chosen])


def test_codes_start_with_a_mean_squared_length_of_one():
    vectors = codebook(512, 64).vectors.numpy()
    assert np.square(vectors).sum(1).mean() == pytest.approx(1, rel=0.02)
    assert np.abs(vectors).max() < np.sqrt(3 / 64)


def followed(codes: np.ndarray, counts: np.ndarray, sums: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, ...]:
    """One update of the moving averages."""
    chosen = np.square(places[:, None] - codes).sum(-1).argmin(1)
    found = np.array([(chosen == code).sum() for code in range(len(codes))])
    summed = np.stack([places[chosen == code].sum(0) for code in range(len(codes))])
    counts, sums = DECAY * counts + (1 - DECAY) * found, DECAY * sums + (1 - DECAY) * summed
    smoothed = (counts + EPSILON) / (counts.sum() + len(codes) * EPSILON) * counts.sum()
    return sums / smoothed[:, None], counts, sums


def test_codes_counts_and_sums_follow_the_latents_by_moving_averages():
    book = codebook().train()
    state = book.vectors.numpy().astype(float), np.ones(6), book.vectors.numpy().astype(float)
    for seed in (1, 2):
        book(latents(seed=seed))
        state = followed(*state, rows(latents(seed=seed)))
    for expected, buffer in zip(state, (book.vectors, book.counts, book.sums), strict=True):
        np.testing.assert_allclose(buffer.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_latents_are_quantised_before_their_codes_follow():
    book = codebook().train()
    before = book.vectors.clone()
    quantised, apart = book(latents())
    chosen = before[codebook().nearest(torch.as_tensor(rows(latents())))].numpy()
    np.testing.assert_array_equal(rows(quantised), chosen)
    assert apart.item() == pytest.approx(np.square(rows(latents()) - chosen).mean(), rel=1e-5)
    assert not torch.equal(book.vectors, before)


def test_codes_stay_in_eval_mode():
    network = tiny_network().eval()
    before = {name: state.clone() for name, state in network.named_buffers()}
    network(grid())
    assert all(torch.equal(before[name], state) for name, state in network.named_buffers())


def test_codes_follow_in_train_mode_on_both_levels():
    network = tiny_network().train()
    before = {name: state.clone() for name, state in network.named_buffers()}
    with torch.no_grad():
        network(grid())
    assert not any(torch.equal(before[name], state) for name, state in network.named_buffers())


def test_a_code_that_nothing_chooses_keeps_its_place():
    book, near = codebook(2, 2).train(), torch.zeros(1, 2, 3, 3)
    for name in ("vectors", "sums"):
        getattr(book, name).copy_(torch.tensor([[0.0, 0.1], [3.0, -2.0]]))
    for _ in range(20):
        book(near)
    assert book.vectors[1].numpy() == pytest.approx([3.0, -2.0], rel=1e-3)
    assert book.vectors[0].abs().max() < 0.02


def test_a_code_that_nothing_ever_chooses_stays_finite():
    book = codebook(8, 2).train()
    for _ in range(1000):
        book(torch.full((1, 2, 1, 1), 0.3))
    assert book.counts.min() < 1e-40
    assert all(state.isfinite().all() and state.abs().max() < 10 for state in book.buffers())


def test_gradients_pass_the_codes_unchanged():
    seen = latents().requires_grad_()
    weights = latents(seed=5)
    (codebook()(seen)[0] * weights).sum().backward()
    assert torch.equal(seen.grad, weights)


def test_the_commitment_draws_latents_to_their_codes():
    seen = latents().requires_grad_()
    quantised, apart = codebook().eval()(seen)
    apart.backward()
    expected = 2 * (latents() - quantised.detach()) / seen.numel()
    np.testing.assert_allclose(seen.grad.numpy(), expected.numpy(), atol=1e-7)


def test_codes_are_chosen_in_float32_even_within_bfloat16():
    book = Codebook(2, 1, DECAY).eval()
    book.vectors.copy_(torch.tensor([[1.0], [1.001]]))  # one number in bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        quantised, apart = book(torch.full((1, 1, 1, 2), 1.001))
    assert quantised.flatten().tolist() == book.vectors[1].tolist() * 2
    assert (quantised.dtype, apart.dtype, apart.item()) == (torch.float32, torch.float32, 0.0)


def test_a_step_in_bfloat16_keeps_loss_and_codes_in_float32():
    network = tiny_network().train()
    before = network.bottom.vectors.clone()
    with torch.autocast("cpu", torch.bfloat16):
        loss = TINY.loss(network, grid(2)[..., :8, :8])
    loss.backward()
    assert {loss.dtype} == {state.dtype for state in network.buffers()} == {torch.float32}
    assert torch.isfinite(loss)
    assert not torch.equal(network.bottom.vectors, before)


@pytest.mark.parametrize("commitment", [0.25, 2.0])
def test_the_loss_is_the_absolute_error_and_the_commitments_of_both_levels(commitment):
    network, into = tiny_network().eval(), {}
    for level in ("top", "bottom"):
        getattr(network, level).register_forward_hook(
            lambda _, given, made, level=level: into.update({level: (rows(given[0]), rows(made[0]))})
        )
    loss = replace(TINY, commitment=commitment).loss(network, grid()).item()
    seen = network(grid())[0].detach().numpy()
    apart = sum(np.mean((given - made) ** 2) for given, made in into.values())
    assert loss == pytest.approx(np.mean(np.abs(grid().numpy() - seen)) + commitment * apart, rel=1e-5)


def test_validation_is_the_absolute_error_alone():
    network = tiny_network().eval()
    seen = network(grid())[0].detach().numpy()
    assert absolute_error(network, grid()).item() == pytest.approx(np.mean(np.abs(grid().numpy() - seen)), rel=1e-5)


def test_what_is_reconstructed_consists_of_codes_alone(context):
    network = trained(TINY, context).network
    with torch.no_grad():
        bottom, top, _ = network.encode(grid())
    for maps, level in ((bottom, network.bottom), (top, network.top)):
        known = {row.tobytes() for row in level.vectors.numpy()}
        assert {row.tobytes() for row in rows(maps)} <= known


def test_weights_decay_beside_the_gradient_and_codes_do_not():
    network = tiny_network()
    method = replace(TINY, lr=0.1, weight_decay=0.5)
    weight, vectors = network.into_top.weight.detach().clone(), network.top.vectors.clone()
    for weights in network.parameters():
        weights.grad = torch.zeros_like(weights)
    method.optimiser(network.parameters()).step()
    np.testing.assert_allclose(network.into_top.weight.detach(), (1 - 0.1 * 0.5) * weight, rtol=1e-5)
    assert torch.equal(network.top.vectors, vectors)


def test_training_explains_more_than_the_mean_image(context):
    healthy, val, test = (blobs(count, 32, 32, seed=seed) for count, seed in ((32, 2), (4, 3), (8, 4)))
    longer = replace(TINY, width=16, codes=64, batch=8, epochs=6, steps=20, lr=5e-3)
    learned = longer.fit(MemorySource(healthy), MemorySource(val), context)
    mean_image = np.abs(test.pixels - healthy.pixels.mean(0)).mean()
    assert np.abs(test.pixels - learned.predict(test).reconstructions).mean() < 0.9 * mean_image


def test_the_best_epoch_is_kept(tmp_path):
    val, errors = torch.as_tensor(blobs(4, 32, 32, seed=3).pixels), []
    for epochs in range(1, 6):
        method = replace(TINY, epochs=epochs, lr=0.1)  # at so high a rate some epoch is worse than the one before
        network = trained(method, FitContext(0, "cpu", "float32", tmp_path / str(epochs))).network
        errors.append(absolute_error(network, val).item())
    assert errors == sorted(errors, reverse=True)
    assert 1 < len(set(errors)) < len(errors)


def test_the_map_is_the_absolute_error_and_the_score_its_mean(context):
    detector, test = trained(TINY, context), blobs(3, 32, 32, seed=4)
    prediction = detector.predict(test)
    with torch.no_grad():
        seen = detector.network(torch.as_tensor(test.pixels))[0].numpy()
    np.testing.assert_allclose(prediction.maps, np.abs(test.pixels - seen)[:, 0], atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


def test_a_saved_detector_comes_back_with_the_same_bytes(context, tmp_path):
    detector, test = trained(TINY, context), blobs(3, 40, 36, seed=4)
    detector.save(tmp_path / "detector")
    again = VectorQuantisedVae.load(tmp_path / "detector", "cpu")
    assert again.predict(test).maps.tobytes() == detector.predict(test).maps.tobytes()
    kept, back = (dict(one.network.named_buffers()) for one in (detector, again))
    assert all(torch.equal(kept[name], back[name]) for name in kept)


def go_on(folder, *, killed_after: int = 0) -> bytes:
    """Weights and codes after four epochs with a checkpoint each; killed after some, if given."""

    def report(progress: Progress) -> None:
        if progress.done == killed_after + 1:
            raise KilledError

    context = FitContext(0, "cpu", "float32", folder, report if killed_after else lambda progress: None)
    network = tiny_network()
    optimiser = TINY.optimiser(network.parameters())
    step = gradient_step(lambda batch: TINY.loss(network, batch), optimiser, context)
    validate = mean_loss(lambda batch: absolute_error(network, batch), grid(), 4, context)
    learner = Learner(network, step, (optimiser,), validate=validate)
    train(learner, grid(8), Schedule(4, 4, checkpoint_minutes=0), context)
    return b"".join(state.numpy().tobytes() for state in network.state_dict().values())


def test_a_killed_training_goes_on_with_its_codes(tmp_path):
    whole = go_on(tmp_path / "whole")
    with pytest.raises(KilledError):
        go_on(tmp_path / "killed", killed_after=2)
    assert go_on(tmp_path / "killed") == whole


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    contexts = [FitContext(seed, "cpu", "float32", tmp_path / str(run)) for run, seed in enumerate((0, 0, 1))]
    test = blobs(3, 32, 32, seed=4)
    one, same, other = (trained(TINY, each).predict(test).maps.tobytes() for each in contexts)
    assert one == same != other


@pytest.mark.parametrize("preset", ["paper", "pit-2022"])
def test_the_study_takes_ten_thousand_steps(preset):
    method = plugins.make("vq-vae", preset=preset)
    assert (method.epochs * method.steps, method.steps, method.batch) == (10_000, 200, 128)
    assert (method.size, method.width, method.residual_width, method.lr) == (256, 128, 32, 1e-3)


@pytest.mark.parametrize("preset", ["quick", "paper", "pit-2022"])
def test_every_preset_makes_a_method(preset):
    method = plugins.make("vq-vae", preset=preset)
    assert (method.codes, method.embedding, method.decay, method.commitment) == (512, 64, 0.99, 0.25)
    assert (method.weight_decay, method.residual, method.augment) == (0.02, "absolute", False)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"size": 100}, "size is 100. The network takes multiples of 8: give 96 or 104"),
        ({"width": 1}, "width is 1"),
        ({"residual_width": 0}, "residual_width is 0"),
        ({"embedding": 0}, "embedding is 0"),
        ({"codes": 0}, "codes is 0"),
        ({"decay": 1.0}, "decay is 1.0. Give a share from 0 to below 1"),
        ({"decay": float("nan")}, "decay is nan"),
        ({"commitment": -0.1}, "commitment is -0.1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"steps": -1}, "steps -1"),
        ({"batch": 1}, "batch 1"),
        ({"lr": 0.0}, "lr is 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("vq-vae", **override)


def test_an_unknown_residual_is_refused():
    with pytest.raises(UnknownNameError, match="absolute"):
        plugins.make("vq-vae", residual="absolut")
