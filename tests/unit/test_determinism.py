"""The same seed gives the same numbers, and nothing of it stays behind."""

import numpy as np
import pytest
import torch

from uadbench.torch_support.determinism import computing, deterministic, generator, generator_of


def test_seeding_is_undone_even_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), deterministic(3, "cpu"):
        torch.rand(1).item() / 0
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_inside_deterministic_kernels_are_asked_for_and_benchmarks_are_not(device):
    with deterministic(0, device):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled() == (device == "cuda")
        assert not torch.backends.cudnn.benchmark


def test_what_the_caller_had_asked_for_comes_back():
    torch.use_deterministic_algorithms(True, warn_only=True)
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        with deterministic(0, "cpu"), deterministic(1, "cpu"):
            pass
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.utils.deterministic.fill_uninitialized_memory == filled
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_same_seed_draws_the_same_numbers(device):
    def drawn(seed):
        with deterministic(seed, device):
            return torch.rand(4, device=device).tolist()

    assert drawn(1) == drawn(1) != drawn(2)


def test_the_device_s_random_state_is_as_it_was(device):
    def state():
        return torch.get_rng_state() if device == "cpu" else torch.cuda.get_rng_state(device)

    before = state()
    with deterministic(5, device):
        torch.rand(1, device=device)
        assert not torch.equal(before, state())
    assert torch.equal(before, state())


def test_a_stream_is_its_own():
    before = torch.get_rng_state()
    assert torch.rand(3, generator=generator(2)).tolist() == torch.rand(3, generator=generator(2)).tolist()
    assert torch.equal(before, torch.get_rng_state())


def test_an_image_s_own_stream_depends_on_seed_and_content():
    one, other = np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), np.float32)
    draws = {
        (seed, name): torch.rand(3, generator=generator_of(seed, image)).tolist()[0]
        for seed in (0, 1, -1)
        for name, image in (("one", one), ("other", other))
    }
    assert len(set(draws.values())) == 6
    assert draws[0, "one"] == torch.rand(3, generator=generator_of(0, one.copy())).tolist()[0]


def test_an_image_s_own_stream_is_that_of_its_values_wherever_they_lie():
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    turned = np.asfortranarray(image)
    assert generator_of(0, image).initial_seed() == generator_of(0, turned).initial_seed()


def test_what_last_bits_depend_on_is_recorded(device):
    facts = computing(device)
    assert facts["threads"] == torch.get_num_threads()
    assert facts["torch"] == torch.__version__
    assert facts["device"] == ("cpu" if device == "cpu" else torch.cuda.get_device_name())
