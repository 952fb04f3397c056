"""anomalib's models as methods: contract, weights, settings and refusals; where anomalib is installed."""

from dataclasses import replace

import numpy as np
import pytest

from uadbench import FitContext, plugins, testing
from uadbench.errors import ContractError, InvalidDataError, MissingWeightsError, ParameterError, UnknownNameError
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
TOO_FEW = "backbone=tf_efficientnet_lite0 layers=['blocks.1'] coreset_sampling_ratio=1e-9"
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
        (
            "patchcore",
            {**SMALL["patchcore"], "settings": TOO_FEW},
            "to these 8 images .*coreset_size must be a positive",
        ),
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


def test_an_unknown_backbone_is_refused_with_the_nearest_name(context):
    settings = SMALL["padim"]["settings"].replace("efficientnet", "eficientnet")
    with pytest.raises(UnknownNameError, match="Did you mean 'tf_efficientnet_lite0'"):
        plugins.make("anomalib:padim", settings=settings).fit(TRAIN, VAL, context)


def test_an_unknown_model_is_refused_with_the_nearest_name(context):
    with pytest.raises(UnknownNameError, match=r"image model of anomalib is called 'padm'\. Did you mean 'padim'"):
        plugins.make("anomalib:padim", model="padm").fit(TRAIN, VAL, context)


def test_missing_weights_say_which_file_to_place(context, tmp_path, monkeypatch):
    for name in ("UADBENCH_WEIGHTS", "TORCH_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("UADBENCH_OFFLINE", "1")
    with pytest.raises(MissingWeightsError, match=r"'resnet18' are not in .*as resnet18\.safetensors"):
        plugins.make("anomalib:padim", preset="paper").fit(TRAIN, VAL, context)


def test_weights_that_cannot_be_read_are_refused(context, tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "tf_efficientnet_lite0.pth").write_bytes(b"")
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'tf_efficientnet_lite0'"):
        plugins.make("anomalib:padim", **SMALL["padim"]).fit(TRAIN, VAL, context)


def test_images_of_a_few_pixels_are_drawn_up_by_the_models_preprocessing(context):
    few = MemorySource(blobs(4, 8, 8, seed=0))
    assert plugins.make("anomalib:padim", **SMALL["padim"]).fit(few, few, context).predict(few[:]).maps.shape == (
        4,
        8,
        8,
    )


@pytest.mark.parametrize("name", ["anomalib.json", "network.pt"])
def test_a_damaged_detector_is_refused(name, context, tmp_path):
    method = plugins.make("anomalib:padim", **SMALL["padim"])
    method.fit(TRAIN, VAL, context).save(tmp_path / "detector")
    path = tmp_path / "detector" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InvalidDataError, match=f"{name} is .*damaged .*Fit the method again"):
        type(method).load(tmp_path / "detector", "cpu")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"weights": "mine"}, "weights is"),
        ({"size": 16}, "size is 16, smaller than a backbone's stride. Give 32 px or more, or 0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("anomalib:padim", **override)
