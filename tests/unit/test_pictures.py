"""Example pictures: which cases are chosen, and that they are small PNGs."""

import base64
import io

import factories
import numpy as np
import pytest
from PIL import Image

from uadbench.board import pair, pictures
from uadbench.board.drawing import OUTLINE, coloured, outlined, rim, small_png
from uadbench.board.pictures import MOST_BYTES
from uadbench.files.images import open_images
from uadbench.files.predictions import open_predictions
from uadbench.files.truth import open_truth


@pytest.fixture
def files(tmp_path):
    paths = factories.toy_dataset(tmp_path)
    images = open_images(paths.images)
    predictions = factories.toy_predictions(tmp_path / "run.predictions.h5", images)
    return images, open_truth(paths.truth), open_predictions(predictions)


def test_best_median_and_worst_case_come_in_order_with_their_score(files):
    found = pictures(*files)
    assert [picture.case for picture in found] == ["best", "median", "worst"]
    assert found[0].value >= found[1].value >= found[2].value
    assert {picture.measure for picture in found} == {"pixel AP"}
    assert {picture.pathology for picture in found} == {"square"}


def test_every_picture_is_a_small_png(files):
    for picture in pictures(*files):
        for encoded in (picture.image, picture.overlay, picture.truth):
            data = base64.b64decode(encoded)
            assert len(data) <= MOST_BYTES
            assert Image.open(io.BytesIO(data)).size == (24, 24)


def test_a_noisy_picture_is_made_small_enough():
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    assert len(small_png(noise, MOST_BYTES)) <= MOST_BYTES


def test_without_masks_cases_are_ordered_by_score_among_healthy_images(tmp_path):
    paths = factories.toy_dataset(tmp_path, masked=False)
    images = open_images(paths.images)
    predictions = open_predictions(factories.toy_predictions(tmp_path / "p.h5", images))
    found = pictures(images, open_truth(paths.truth), predictions)
    assert {picture.measure for picture in found} == {"healthy images below"}
    assert [picture.value for picture in found] == [1.0, 1.0, 1.0]


def drawn_pair(image, anomaly_map, low, high):
    """The image and the overlay of a drawn pair, at the size of the map."""
    shown = np.asarray(Image.open(io.BytesIO(pair(image, anomaly_map, low, high))))
    assert shown.shape == (512, 1024, 3)
    return np.split(shown[:: 512 // len(anomaly_map), :: 512 // len(anomaly_map)], 2, axis=1)


def test_a_pair_keeps_the_image_at_low_and_is_brightest_at_high():
    image = np.full((1, 4, 4), 0.5, np.float32)
    anomaly_map = np.zeros((4, 4), np.float32)
    anomaly_map[1, 2] = 3.0
    plain, shown = drawn_pair(image, anomaly_map, 0.0, 3.0)
    assert (plain == 128).all()
    assert shown[0, 0].tolist() == [128, 128, 128]
    assert shown[1, 2].astype(int).sum() > 600


def test_a_pair_of_a_constant_map_is_the_image_twice():
    image = np.full((3, 4, 4), 0.5, np.float32)
    plain, shown = drawn_pair(image, np.ones((4, 4), np.float32), 1.0, 1.0)
    assert (plain == 128).all()
    assert (shown == 128).all()


def test_colours_grow_brighter_all_the_way():
    assert (np.diff(coloured(np.linspace(0, 1, 50)[None]).sum(axis=-1)) > 0).all()


def test_the_outline_lies_just_outside_the_mask():
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    assert np.argwhere(rim(mask)).tolist() == [[1, 2], [2, 1], [2, 3], [3, 2]]


def test_a_box_is_drawn_where_there_is_no_mask():
    drawn = outlined(np.zeros((1, 6, 6)), np.zeros((6, 6), bool), np.array([[1.0, 1.0, 4.0, 3.0]]))
    edge = (drawn == OUTLINE).all(axis=-1)
    assert edge.sum() == 10
    assert not edge[2, 2:4].any()
