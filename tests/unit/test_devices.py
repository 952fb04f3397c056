"""Devices: refusing one that is not there, and too little memory in one sentence."""

import pytest
import torch

from uadbench.errors import DeviceMemoryError
from uadbench.torch_support.devices import cuda_devices, memory_checked

WORDS = [
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
    "CUDA error: out of memory",
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8",
    "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
]


@pytest.mark.parametrize("words", WORDS)
def test_torch_s_words_for_too_little_memory_become_one_sentence(words):
    sentence = "The device has too little memory for a batch of 32. Try a batch of 16, or another device."
    with pytest.raises(DeviceMemoryError, match=sentence), memory_checked(32):
        raise RuntimeError(words)


@pytest.mark.parametrize("kind", [torch.cuda.OutOfMemoryError, MemoryError])
def test_every_kind_of_refusal_is_known(kind):
    with pytest.raises(DeviceMemoryError) as caught, memory_checked(8):
        raise kind("CUDA out of memory.")
    assert isinstance(caught.value.__cause__, kind)


def test_an_allocation_that_cannot_succeed_is_refused(device):
    with pytest.raises(DeviceMemoryError, match=r"for a batch of 4. Try a batch of 2"), memory_checked(4):
        torch.empty(2**50, device=device)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_below_four_images_smaller_ones_are_advised(batch):
    sentence = f"for a batch of {batch}. Try smaller images, or another device"
    with pytest.raises(DeviceMemoryError, match=sentence), memory_checked(batch):
        raise MemoryError


def test_the_word_of_the_parameter_can_be_given():
    with pytest.raises(DeviceMemoryError, match=r"for a block of 64. Try a block of 32"), memory_checked(64, "block"):
        raise MemoryError


@pytest.mark.parametrize("error", [RuntimeError("shapes disagree"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_pass_through(error):
    with pytest.raises(type(error)) as caught, memory_checked(32):
        raise error
    assert caught.value is error


def test_a_sentence_of_ours_is_not_said_twice():
    with pytest.raises(DeviceMemoryError, match=r"for a batch of 8"), memory_checked(32), memory_checked(8):
        raise MemoryError


def test_devices_are_those_that_torch_sees():
    assert len(cuda_devices()) == torch.cuda.device_count()
