"""anomalib's models as methods: contract, weights, settings and refusals; where anomalib is installed."""

from dataclasses import replace

import numpy as np
import pytest

from uadbench import FitContext, plugins, testing
from uadbench.errors import ContractError, InvalidDataError, ParameterError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytest.importorskip("anomalib", reason="anomalib is not installed")
pytest.importorskip("uadbench_anomalib", reason="uadbench-anomalib is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_torch_thread")]

SMALL = {
    "padim": {"settings": "backbone=tf_efficientnet_lite0 layers=['blocks.1','blocks.2'] n_features=8", "size": 64},
    "patchcore": {
        "settings": "backbone=tf_efficientnet_lite0 layers=['blocks.1','blocks.2'] coreset_sampling_ratio=0.05",
        "size": 64,
    },
    "stfpm": {"settings": "backbone=tf_efficientnet_lite0 layers=['blocks.1','blocks.2']", "size": 64, "epochs": 1},
}
TRAIN, VAL, TEST = (MemorySource(blobs(count, 64, 64, seed=count)) for count in (8, 3, 5))
NAMES = pytest.mark.parametrize("name", SMALL)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


@NAMES
@pytest.mark.parametrize("check", testing.checks(), ids=str)
def test_contract(check, name):
    check.run(testing.case(f"anomalib:{name}", overrides=SMALL[name]))


@NAMES
def test_a_model_records_the_weights_of_its_backbone(name, context):
    detector = plugins.make(f"anomalib:{name}", **SMALL[name]).fit(TRAIN, VAL, context)
    assert {one["name"] for one in detector.weights} == {"tf_efficientnet_lite0"}
    assert "random" not in detector.weights[0]["source"]


def test_random_weights_are_recorded_as_such(context):
    detector = plugins.make("anomalib:padim", **SMALL["padim"], weights="random").fit(TRAIN, VAL, context)
    assert detector.weights[0]["source"].startswith("random")


def test_a_spot_stands_out(context):
    test = TEST[:]
    spot = test.pixels.copy()
    spot[:, :, 28:40, 28:40] = 1 - spot[:, :, 28:40, 28:40]
    detector = plugins.make("anomalib:patchcore", **SMALL["patchcore"]).fit(TRAIN, VAL, context)
    found = detector.predict(replace(test, pixels=spot))
    inside = found.maps[:, 28:40, 28:40].mean()
    assert inside > 1.2 * np.median(found.maps)
    assert (found.scores > detector.predict(test).scores).all()


@pytest.mark.parametrize(
    ("name", "override", "sentence"),
    [
        ("padim", {"settings": "layer=1"}, "padim does not take 'layer=1'"),
        ("padim", {"settings": "backbone=tf_efficientnet_lite0 layers=['blocks.1']"}, "padim does not take"),
    ],
)
def test_settings_that_the_model_does_not_take_are_refused(name, override, sentence, context):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make(f"anomalib:{name}", **override).fit(TRAIN, VAL, context)


def test_a_model_without_a_map_is_refused(context):
    with pytest.raises(ContractError, match="ganomaly gives no anomaly map"):
        plugins.make("anomalib:ganomaly", size=64, epochs=1, batch=4).fit(TRAIN, VAL, context)


def test_images_of_two_channels_are_refused(context):
    grey = blobs(4, 64, 64, seed=0)
    two = MemorySource(replace(grey, pixels=grey.pixels.repeat(2, axis=1)))
    with pytest.raises(InvalidDataError, match="2 channels"):
        plugins.make("anomalib:padim", **SMALL["padim"]).fit(two, two, context)


@pytest.mark.parametrize(("override", "sentence"), [({"batch": 0}, "batch is 0"), ({"weights": "mine"}, "weights is")])
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("anomalib:padim", **override)
