"""How images are best stored: reading them in batches beside the time in which `ae-latent` scores them, and the size.

A ratio of processor seconds that were measured in turn says more on a busy machine than seconds do. The files lie in
the system's cache, as they do from the second epoch on.
"""

import itertools

import numpy as np
import pytest
from stopwatch import seconds_in_turn

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("uadbench_autoencoders", reason="the autoencoders are not installed")

from uadbench import plugins  # noqa: E402
from uadbench.files.images import SCHEMA, SplitSource  # noqa: E402
from uadbench.files.layout import created  # noqa: E402
from uadbench.torch_support.reconstructing import reconstructor  # noqa: E402
from uadbench.types import FitContext  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "kept_memory")]
IMAGES, BATCH, ROUNDS = 224, 32, 50
MOST = 10  # percent
CHOSEN = "in one piece"  # as uadbench.files.dataset writes; such an array is mapped into memory
GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
LAYOUTS = {  # images in a chunk, and its filter; the foreground is in chunks of 1 image with gzip, but for the first
    CHOSEN: (0, {}),
    "in one piece, foreground in chunks": (0, {}),
    "chunks of 1 image": (1, {}),
    "chunks of 1 image, gzip 1 after shuffle": (1, GZIP),
    "chunks of 1 image, lzf": (1, {"compression": "lzf"}),
    "chunks of 32 images, gzip 1 after shuffle": (32, GZIP),
}


@pytest.fixture(scope="module")
def stacks(phantoms):
    """Images and foreground by side: phantoms of 128 pixels, and four of them together, which are as hard to code."""
    train = phantoms["train"]
    images = np.rint(255 * train.pixels[:IMAGES]).astype(np.uint8)
    foreground = train.foreground[:IMAGES]

    def four(stack):
        one, two, three, other = (np.roll(stack, shift, axis=0) for shift in range(4))
        return np.concatenate([np.concatenate([one, two], -1), np.concatenate([three, other], -1)], -2)

    return {128: (images, foreground), 256: (four(images), four(foreground))}


@pytest.fixture
def stored(stacks, tmp_path):
    """Writes the images of a side in a layout; the split as it is read, and the size of the file in MB."""

    def write(side, layout):
        (images, foreground), (chunk, settings) = stacks[side], LAYOUTS[layout]
        chunks = (chunk, *images.shape[1:]) if chunk else None
        with created(tmp_path / "images.h5", SCHEMA) as file:
            group = file.create_group("test")
            group.create_dataset("images", data=images, chunks=chunks, **settings).attrs["scale"] = 1 / 255
            whole = layout == CHOSEN
            settings = {} if whole else {"chunks": (1, *foreground.shape[1:]), **GZIP}
            group.create_dataset("foreground", data=foreground, **settings)
        names = tuple(map(str, range(len(images))))
        source = SplitSource(tmp_path / "images.h5", "test", names, names, images.shape[1:])
        return source, (tmp_path / "images.h5").stat().st_size / 1e6

    return write


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """`ae-latent` as it starts; training would not make it faster."""
    torch.manual_seed(0)
    method = plugins.make("ae-latent", preset="quick")
    context = FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("detector"))
    return reconstructor(method, method.network(1), 1, context)


def in_order(source):
    """Reads the next batch, as predicting does."""
    batches = itertools.cycle([slice(start, start + BATCH) for start in range(0, len(source), BATCH)])
    return lambda: source[next(batches)].pixels


def shuffled(source):
    """Reads a batch of single images from anywhere, as a training loop does that keeps none of them."""
    rng = np.random.default_rng(0)

    def batch():
        rows = rng.choice(len(source), BATCH, replace=False).tolist()
        return np.concatenate([source[row : row + 1].pixels for row in rows])

    return batch


@pytest.mark.parametrize("side", [128, 256])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reading_takes_a_small_part_of_scoring_in_the_chosen_layout(benchmark, stored, detector, layout, side):
    source, megabytes = stored(side, layout)
    images = source[0:BATCH]
    works = [in_order(source), shuffled(source), lambda: detector.predict(images)]
    first, second, scoring = benchmark.pedantic(seconds_in_turn, (works, ROUNDS), rounds=1).T
    shares = {"in_order": first / scoring, "shuffled": second / scoring}
    percent = {order: round(100 * float(np.median(share)), 1) for order, share in shares.items()}
    benchmark.extra_info.update(table="storage", layout=layout, px=side, mb=round(megabytes, 1), **percent)
    print(f"\n{benchmark.extra_info}")
    assert layout != CHOSEN or max(percent.values()) <= MOST
