"""MemAE: how its memory is addressed, its loss, and that nothing but the memory reaches the decoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from uadbench_autoencoders._memory import Memory, entropy
from uadbench_autoencoders.memae import MemoryAutoencoder, MemoryNetwork

from uadbench import FitContext, plugins
from uadbench.errors import ParameterError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs
from uadbench.torch_support.reconstructing import Reconstructor

TINY = MemoryAutoencoder(latent=5, items=7, size=16, epochs=2, batch=4)
TEST = blobs(5, 16, 16, seed=3)


def fitted(folder, method: MemoryAutoencoder = TINY, seed: int = 0) -> Reconstructor:
    source = MemorySource(blobs(8, 16, 16, seed=2))
    return method.fit(source, source, FitContext(seed, "cpu", "float32", folder))


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Reconstructor:
    return fitted(tmp_path_factory.mktemp("fit"))


def tiny_network() -> MemoryNetwork:
    torch.manual_seed(0)
    return TINY.network(1).eval()


def grid(count: int = 4) -> torch.Tensor:
    return 2 * torch.as_tensor(blobs(count, 16, 16, seed=1).pixels) - 1


def scattered(similarity: str, shrinkage: float) -> tuple[Memory, torch.Tensor]:
    """A memory of 6 items and 4 latents, far enough apart for uneven weights."""
    torch.manual_seed(0)
    memory = Memory(6, 3, similarity, shrinkage)
    torch.nn.init.normal_(memory.items, std=2)
    return memory, 2 * torch.randn(4, 3)


def addressed(latent: np.ndarray, items: np.ndarray, similarity: str, shrinkage: float) -> np.ndarray:
    """Gong's equations 3 to 7 for one latent, item by item."""
    likeness = [float(latent @ item) for item in items]
    if similarity == "cosine":
        lengths = [np.linalg.norm(latent) * np.linalg.norm(item) for item in items]
        likeness = [one / length for one, length in zip(likeness, lengths, strict=True)]
    attention = [np.exp(one) / sum(np.exp(likeness)) for one in likeness]
    kept = [max(a - shrinkage, 0) * a / (abs(a - shrinkage) + 1e-12) for a in attention]
    return np.array(kept) / sum(kept)


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def test_the_network_has_as_many_parameters_as_the_published_one():
    assert sum(weights.numel() for weights in MemoryAutoencoder().network(1).parameters()) == 2_351_584


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_the_paper_s_network_makes_one_step(similarity):
    torch.manual_seed(0)
    method = MemoryAutoencoder(similarity=similarity)
    network = method.network(1)
    loss = method.loss(network, 2 * torch.rand(4, 1, 64, 64) - 1)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("shrinkage", [0.0, 0.0025, 0.12])
def test_weights_are_the_shrunk_attention_divided_by_its_sum(similarity, shrinkage):
    memory, latents = scattered(similarity, shrinkage)
    items = numbers(memory.items)
    expected = [addressed(latent, items, similarity, shrinkage) for latent in numbers(latents)]
    np.testing.assert_allclose(numbers(memory.address(latents)), expected, atol=1e-6)


def test_shrinkage_takes_items_out_and_the_others_still_add_up_to_one():
    (dense, latents), (sparse, _) = scattered("dot", 0.0), scattered("dot", 0.05)
    all_of_them, few = dense.address(latents), sparse.address(latents)
    assert (all_of_them > 0).all()
    assert ((few == 0) == (all_of_them <= 0.05)).all()
    assert 0 < (few == 0).sum() < few.numel()
    np.testing.assert_allclose(numbers(few).sum(1), 1, rtol=1e-6)


def test_an_item_that_was_shrunk_away_learns_nothing():
    memory, latents = scattered("dot", 0.05)
    weights = memory.address(latents[:1])
    memory.recall(weights).sum().backward()
    learns = memory.items.grad.abs().sum(1) > 0
    assert torch.equal(learns[weights[0] == 0], torch.zeros_like(learns[weights[0] == 0]))
    assert learns[weights[0] > 0].any()


def test_a_cosine_is_blind_to_the_length_of_a_latent_and_a_dot_product_is_not():
    for similarity, blind in (("cosine", True), ("dot", False)):
        memory, latents = scattered(similarity, 0.0)
        assert torch.allclose(memory.address(latents), memory.address(3 * latents), atol=1e-6) is blind


def test_with_no_weight_left_all_are_zero():
    memory, latents = scattered("cosine", 0.9)
    assert torch.equal(memory.address(latents), torch.zeros(4, 6))


def test_entropy_is_that_of_the_weights():
    weights = np.array([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25] * 4])
    expected = [-sum(w * np.log(w) for w in row if w > 0) for row in weights]
    np.testing.assert_allclose(entropy(torch.as_tensor(weights)).numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(expected, [1.5 * np.log(2), 0, np.log(4)])


@pytest.mark.parametrize("weight", [0.0002, 2.0])
def test_the_loss_is_the_squared_error_and_the_weighed_entropy(weight):
    network = tiny_network()
    seen, weights = (numbers(part) for part in network(grid()))
    uncertain = np.mean([-sum(w * np.log(w + 1e-12) for w in row) for row in weights])
    expected = np.mean((numbers(grid()) - seen) ** 2) + weight * uncertain
    assert replace(TINY, entropy_weight=weight).loss(network, grid()).item() == pytest.approx(expected, rel=1e-5)


def test_what_is_decoded_is_a_convex_combination_of_items():
    memory, latents = scattered("dot", 0.05)
    weights, items = numbers(memory.address(latents)), numbers(memory.items)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    mixed = [sum(w * item for w, item in zip(row, items, strict=True)) for row in weights]
    np.testing.assert_allclose(numbers(memory.recall(memory.address(latents))), mixed, atol=1e-6)


@pytest.mark.parametrize("loudness", [1.0, 100.0])
def test_no_image_reaches_the_decoder_past_the_memory(loudness):
    network, decoded = tiny_network(), []
    network.autoencoder.decoder.register_forward_pre_hook(lambda _, given: decoded.append(given[0]))
    network(loudness * grid())
    items = network.memory.items
    assert (decoded[0] <= items.max(0).values + 1e-6).all()
    assert (decoded[0] >= items.min(0).values - 1e-6).all()


@pytest.mark.parametrize(("items", "alike"), [(1, True), (7, False)])
def test_one_item_gives_every_image_the_same_reconstruction_and_several_do_not(items, alike):
    torch.manual_seed(0)
    network = replace(TINY, items=items).network(1).eval()
    torch.nn.init.normal_(network.memory.items, std=10)
    seen, _ = network(grid())
    assert torch.allclose(seen, seen[:1].expand_as(seen), atol=1e-6) is alike


def test_training_moves_the_memory(detector):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = TINY.network(1)
    assert untrained.memory.items.abs().max() <= 5**-0.5
    assert (detector.network.memory.items != untrained.memory.items).any(1).all()


def test_the_map_is_the_squared_error_and_the_score_its_mean(detector):
    signed = torch.as_tensor(2 * TEST.pixels - 1)
    with torch.no_grad():
        seen = detector.network(signed)[0].numpy()
    prediction = detector.predict(TEST)
    np.testing.assert_allclose(prediction.maps, (signed.numpy() - seen)[:, 0] ** 2, atol=1e-5)
    np.testing.assert_allclose(prediction.scores, prediction.maps.mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_a_saved_detector_comes_back_with_the_same_bytes(similarity, tmp_path):
    kept = fitted(tmp_path / "fit", replace(TINY, similarity=similarity, shrinkage=0.01))
    kept.save(tmp_path / "detector")
    again = MemoryAutoencoder.load(tmp_path / "detector", "cpu")
    assert again.predict(TEST).maps.tobytes() == kept.predict(TEST).maps.tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(detector, tmp_path):
    same, other = fitted(tmp_path / "same"), fitted(tmp_path / "other", seed=1)
    one, two, three = (each.predict(TEST).maps.tobytes() for each in (detector, same, other))
    assert one == two != three


@pytest.mark.parametrize(
    ("preset", "epochs", "batch", "addressing"),
    [
        ("quick", 40, 16, ("cosine", 0.04)),
        ("paper", 250, 64, ("cosine", 0.04)),
        ("ae4ad-2024", 250, 64, ("dot", 0.0025)),
    ],
)
def test_every_preset_makes_a_method(preset, epochs, batch, addressing):
    method = plugins.make("memae", preset=preset)
    assert (method.latent, method.items, method.size, method.lr) == (16, 25, 64, 1e-3)
    assert (method.entropy_weight, method.residual) == (0.0002, "squared")
    assert (method.epochs, method.batch) == (epochs, batch)
    assert (method.similarity, method.shrinkage) == addressing


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"latent": 0}, "latent is 0. Give at least 1"),
        ({"items": 0}, "items is 0. Give at least 1"),
        ({"entropy_weight": -0.1}, "entropy_weight is -0.1. Give at least 0"),
        ({"shrinkage": -0.1}, "shrinkage is -0.1. Give a weight from 0 to below 1"),
        ({"shrinkage": 1.0}, "shrinkage is 1.0"),
        ({"similarity": "l2"}, "similarity is 'l2'. Give one of dot, cosine"),
        ({"size": 100}, "memae: size is 100. The network takes multiples of 16: give 96 or 112"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"batch": 1}, "batch >= 2"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("memae", **override)


def test_the_paper_s_shrinkage_leaves_some_items_and_not_all():
    torch.manual_seed(0)
    memory = MemoryAutoencoder().network(1).memory
    weights = memory.address(torch.randn(50, 16))
    left = (weights > 0).sum(1)
    assert 1 <= left.min() <= left.max() < 25
