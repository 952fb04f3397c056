"""The frozen teachers, and the student that has their levels."""

import pytest
import torch
from torch import nn
from uadbench_mkd._networks import TEACHERS, Student, frozen_teacher

pytestmark = pytest.mark.usefixtures("one_torch_thread")

VGG16_LEVELS = (128, 256, 512, 512)


@pytest.fixture(scope="module")
def teachers(one_torch_thread):
    """Both of them, with random weights."""
    return {name: frozen_teacher(name, "random", "cpu") for name in TEACHERS}


def test_the_student_of_the_paper_has_the_authors_weights():
    assert sum(weights.numel() for weights in Student(VGG16_LEVELS).parameters()) == 343_984


def test_beside_lite0_the_student_is_thinner(teachers):
    assert sum(weights.numel() for weights in Student(teachers["lite0"].channels).parameters()) == 108_976


def test_its_convolutions_are_those_of_network_b():
    wide = [one.out_channels for one in Student(VGG16_LEVELS).modules() if isinstance(one, nn.Conv2d)]
    assert wide == [16, 16, 16, 128, 16, 16, 256, 16, 16, 512, 16, 16, 512]


def test_no_convolution_has_a_bias_and_all_but_the_last_of_a_block_are_normalised():
    for block in Student(VGG16_LEVELS).blocks:
        *inner, last = (place for place, one in enumerate(block) if isinstance(one, nn.Conv2d))
        assert all(block[place].bias is None for place in (*inner, last))
        assert all(isinstance(block[place + 1], nn.BatchNorm2d) for place in inner)
        assert [type(one) for one in block[last + 1 :]] == [nn.ReLU, nn.MaxPool2d]


@pytest.mark.parametrize("name", TEACHERS)
def test_the_student_has_four_levels_shaped_as_its_teacher_s(teachers, name):
    images = torch.rand(2, 1, 64, 64)
    student = Student(teachers[name].channels, 4, rectified=TEACHERS[name].rectified)
    shapes = [level.shape for level in teachers[name](images)]
    assert [level.shape for level in student(images)] == shapes
    assert [shape[-1] for shape in shapes] == [16, 8, 4, 2]


def test_only_the_levels_of_a_rectified_teacher_cannot_be_negative():
    torch.manual_seed(0)
    images = torch.rand(4, 3, 64, 64)
    assert min(level.min() for level in Student((4, 5, 6, 7), 4)(images)) >= 0
    assert all(level.min() < 0 for level in Student((4, 5, 6, 7), 4, rectified=False)(images))


def test_vgg16_is_tapped_after_its_pools_two_to_five(teachers):
    stack = teachers["vgg16"].network
    pools = [place for place, one in enumerate(stack) if isinstance(one, nn.MaxPool2d)]
    assert tuple(pools[1:]) == TEACHERS["vgg16"].places


def test_vgg16_sees_images_that_are_not_normalised(teachers):
    teacher = teachers["vgg16"]
    assert (teacher.mean == 0).all()
    assert (teacher.std == 1).all()


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_is_frozen_and_in_eval_mode(teachers, name):
    assert not any(one.training for one in teachers[name].modules())
    assert not any(weights.requires_grad for weights in teachers[name].parameters())


def test_a_grey_image_is_three_equal_channels():
    student, grey = Student((4, 5, 6, 7), 4).eval(), torch.rand(1, 1, 32, 32)
    assert all(map(torch.equal, student(grey), student(grey.repeat(1, 3, 1, 1))))
