"""PatchCore against anomalib's model, and its coreset against exact greedy, on real images; on one thread.

Both sides have the same images, network and weights, both keep 1 % of the patches, and no score is re-weighted.
"""

import time
from dataclasses import replace

import pytest

from uadbench import FitContext, plugins
from uadbench.files.images import open_images
from uadbench.files.truth import open_truth
from uadbench.home import data_folder
from uadbench.metrics import image_auroc
from uadbench.testing import MemorySource

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("uadbench_patchcore.patchcore", reason="the method patchcore is not installed")
from uadbench_patchcore._memory import coreset, project  # noqa: E402
from uadbench_patchcore._patches import extract  # noqa: E402

from uadbench.torch_support.backbones import pretrained  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "one_torch_thread")]
DATASET, LEVELS = "brain-flair-lgg-v1", ("blocks.2", "blocks.4")  # at 1/8 and 1/16 of the side
SIDE, BATCH, BLOCK = 128, 32, 4096  # px; images at a time, as anomalib's batches; patches that fit a cache
LEAST_RATIO, MOST_APART = 20, 0.01  # times; of the image AUROC


@pytest.fixture(scope="module")
def method():
    """1 % of the patches of lite0."""
    return plugins.make("patchcore", preset="quick", size=SIDE)


@pytest.fixture(scope="module")
def data():
    """Training images, test images, and which of these are anomalous."""
    path = data_folder() / f"{DATASET}.images.h5"
    if not path.is_file():
        pytest.skip(f"{DATASET} is not in the workspace; `make data` imports it")
    sources, truth = open_images(path), open_truth(data_folder() / f"{DATASET}.truth.h5")["test"]
    train, test = (sources[split][0 : len(sources[split])] for split in ("train", "test"))
    assert test.ids == truth.ids
    return train, test, truth.labels


@pytest.fixture
def fitted(data, method, tmp_path):
    """Fits ours."""
    source = MemorySource(data[0])
    return lambda: method.fit(source, source, FitContext(0, "cpu", "float32", tmp_path))


@pytest.fixture
def theirs(method):
    """anomalib's model with our weights, before it is fitted."""
    pytest.importorskip("anomalib", reason="anomalib is not installed")
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel(LEVELS, method.backbone, pre_trained=False, num_neighbors=1)
    network, (whole, _) = model.feature_extractor.feature_extractor, pretrained(method.backbone)
    network.load_state_dict({name: whole.state_dict()[name] for name in network.state_dict()})
    return model


def seconds(work):
    """Of the processor, and what came of it."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def answers(model, images, backbone):
    """What anomalib's model makes of all images: patches while it trains, else scores and maps."""
    parts = torch.as_tensor(images.pixels).split(BATCH)
    return [model((part.expand(-1, 3, -1, -1) - backbone.mean) / backbone.std) for part in parts]


def patches_of(images, backbone):
    """Ours."""
    return torch.cat([extract(backbone, one, SIDE, 0) for one in torch.as_tensor(images.pixels).split(1)])


def one_at_a_time(points, first, count):
    """Exact greedy: the patch farthest from all chosen ones, again and again."""
    rows, gaps = [first], torch.full((len(points),), torch.inf)
    parts = list(zip(points.split(BLOCK), gaps.split(BLOCK), strict=True))
    while len(rows) < count:
        newest = points[rows[-1]]
        for part, gap in parts:
            torch.minimum(gap, (part - newest).square_().sum(1), out=gap)
        rows.append(int(gaps.argmax()))
    return rows


def test_both_see_the_same_patches(data, method, theirs):
    backbone, few = method.network("cpu"), data[1][:4]
    found = torch.cat(answers(theirs.train(), few, backbone))
    torch.testing.assert_close(found, patches_of(few, backbone), rtol=0, atol=1e-4)


def test_patchcore_is_twenty_times_faster_than_anomalibs(benchmark, data, method, fitted, theirs):
    from anomalib import __version__

    (train, test, labels), backbone = data, method.network("cpu")
    fitted_and_scored = lambda: seconds(lambda: fitted().predict(test).scores)  # noqa: E731
    ours, scores = benchmark.pedantic(fitted_and_scored, rounds=1)
    reading, _ = seconds(lambda: answers(theirs.train(), train, backbone))
    choosing, _ = seconds(lambda: theirs.subsample_embedding(method.coreset))
    scoring, found = seconds(lambda: answers(theirs.eval(), test, backbone))
    total, their_scores = reading + choosing + scoring, torch.cat([one.pred_score for one in found])
    benchmark.extra_info.update(
        what=f"PatchCore fitted and scored on {DATASET} (lite0, {SIDE} px, 1 %) against anomalib {__version__}'s "
        "model with the same weights, one thread",
        seconds=round(ours, 1),
        anomalib_seconds=round(total, 1),
        of_which_seconds_for_its_coreset=round(choosing, 1),
        ratio=round(total / ours, 1),
        image_auroc=round(image_auroc(scores, labels), 3),
        image_auroc_of_anomalib=round(image_auroc(their_scores.double().numpy(), labels), 3),
    )
    print(f"\n{benchmark.extra_info}")
    assert total / ours >= LEAST_RATIO


def test_the_coreset_judges_images_as_that_of_exact_greedy_does(benchmark, data, method, fitted):
    (train, test, labels), detector = data, fitted()
    patches, count = patches_of(train, detector.backbone), len(detector.bank)
    points = project(patches, method.projection, 0)
    first = int(coreset(points, 1, 0))
    assert torch.equal(patches[first], detector.bank[0])

    def auroc(bank):
        return image_auroc(replace(detector, bank=bank).predict(test).scores, labels)

    found = auroc(detector.bank)
    exact = benchmark.pedantic(lambda: auroc(patches[one_at_a_time(points, first, count)]), rounds=1)
    whole = auroc(patches[one_at_a_time(patches, first, count)])
    benchmark.extra_info.update(
        what=f"image AUROC of PatchCore on {DATASET} (lite0, {SIDE} px, {count:,} of {len(patches):,} patches)",
        by_its_coreset=round(found, 4),
        by_exact_greedy=round(exact, 4),
        by_exact_greedy_without_the_projection=round(whole, 4),
    )
    print(f"\n{benchmark.extra_info}")
    assert abs(found - exact) <= MOST_APART
