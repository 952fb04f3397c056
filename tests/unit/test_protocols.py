"""Protocols: frozen once shipped. A rule that changes needs a protocol of another name."""

from dataclasses import replace

import pytest

from uadbench.errors import InvalidDataError, UnknownNameError
from uadbench.protocols import METRICS, Protocol, protocol, protocol_for, read_protocol, shipped

FROZEN = {
    "brain-flair-lgg-v1": "8503decb0e4da87867ec183cdf00cd85a09fe387c35c3fd3adb54046f9d51271",
    "brain-mri-br35h-v1": "cf057d50a41492d00b2cf7925d32520971d5227f739313efe3e98a5daed28e9f",
    "brain-phantom-v1": "8b571a606039e707d920aa5fcfcb31d5a3f61da4468a4743b3aef9361b919a2b",
    "chest-xray-nih-v1": "caf59085b6645f37763797d3c8083f1ad17351990adb2afd0bc2f4f400e7d50d",
}
PLAIN = """
name = "toy-v1"
title = "Toy"
dataset = "toy"
primary = "pixel_ap"
"""
OTHER_RULES = [
    {"title": "Another"},
    {"dataset": "other"},
    {"primary": "image_auroc"},
    {"metrics": ("pixel_ap",)},
    {"identity": "ab" * 32},
    {"pixels": "foreground"},
    {"seeds": 5},
    {"resamples": 500},
    {"resample_seed": 1},
    {"notes": ("A note.",)},
]


def written(folder, text):
    path = folder / "toy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def toy(**changes):
    return replace(Protocol("toy-v1", "Toy", "toy", "pixel_ap"), **changes)


def test_no_protocol_appears_or_disappears_unnoticed():
    assert set(shipped()) == set(FROZEN)


@pytest.mark.parametrize("name", FROZEN)
def test_a_shipped_protocol_never_changes_its_rules_under_its_name(name):
    assert protocol(name).digest == FROZEN[name]


@pytest.mark.parametrize("name", FROZEN)
def test_a_shipped_protocol_is_bound_to_one_dataset(name):
    one = protocol(name)
    assert not one.is_local
    assert bytes.fromhex(one.identity)
    assert len(one.identity) == 64


@pytest.mark.parametrize("name", FROZEN)
def test_the_shipped_protocols_follow_the_design(name):
    one = protocol(name)
    assert (one.pixels, one.threshold, one.seeds, one.resamples) == ("all", "healthy-val", 3, 1000)
    assert one.primary == ("image_auroc" if name == "chest-xray-nih-v1" else "pixel_ap")


@pytest.mark.parametrize("rule", OTHER_RULES, ids=lambda rule: next(iter(rule)))
def test_every_rule_is_in_the_digest(rule):
    assert toy(**rule).digest != toy().digest


def test_the_digest_does_not_depend_on_the_order_of_a_file(tmp_path):
    upside_down = "\n".join(reversed(PLAIN.splitlines()))
    assert read_protocol(written(tmp_path, upside_down)).digest == read_protocol(written(tmp_path, PLAIN)).digest


def test_a_protocol_is_read_from_a_file(tmp_path):
    assert read_protocol(written(tmp_path, PLAIN)) == toy()


def test_a_name_that_is_nearly_one_gets_it_suggested():
    with pytest.raises(
        UnknownNameError, match=r"No protocol is called 'brain-fantom-v1'\. Did you mean 'brain-phantom"
    ):
        protocol("brain-fantom-v1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "Invalid value"),
        (PLAIN + "colour = 'red'", "unexpected keyword argument 'colour'"),
        ("name = 'toy-v1'", "missing 3 required positional arguments"),
        (b"name = '\xff'", "codec can't decode"),
    ],
)
def test_a_file_that_is_no_protocol_is_refused_with_the_reason(tmp_path, text, reason):
    path = written(tmp_path, text)
    with pytest.raises(InvalidDataError, match=rf"toy\.toml: not a protocol \(.*{reason}.*\)\. See `uadbench list"):
        read_protocol(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"none\.toml: not a protocol \(.*No such file.*\)"):
        read_protocol(tmp_path / "none.toml")


@pytest.mark.parametrize("rule", ["metrics = ['pixel_ap', 'accuracy']", "metrics = ['image_auroc']", "metrics = []"])
def test_an_unknown_metric_or_a_primary_that_is_not_measured_is_refused(tmp_path, rule):
    with pytest.raises(
        InvalidDataError, match=r"toy-v1: metrics \[.*\] with primary 'pixel_ap'\. Choose among image_au"
    ):
        read_protocol(written(tmp_path, PLAIN + rule))


@pytest.mark.parametrize("rule", [{"pixels": "body"}, {"threshold": "healthy-test"}])
def test_other_pixels_or_thresholds_are_refused(rule):
    with pytest.raises(InvalidDataError, match="Choose pixels 'all' or 'foreground' and threshold 'healthy-val'"):
        toy(**rule)


@pytest.mark.parametrize("rule", [{"seeds": 0}, {"seeds": "three"}, {"resamples": 0.5}, {"resample_seed": -1}])
def test_no_seed_or_no_resample_is_refused(rule):
    with pytest.raises(InvalidDataError, match="Give at least one seed and one resample, and a resample_seed from 0"):
        toy(**rule)


@pytest.mark.parametrize("name", FROZEN)
def test_the_protocol_of_a_known_dataset_is_the_shipped_one(name):
    assert protocol_for(protocol(name).dataset, has_masks=True) is protocol(name)


@pytest.mark.parametrize(("has_masks", "primary"), [(True, "pixel_ap"), (False, "image_auroc")])
def test_an_unknown_dataset_gets_a_local_protocol_with_the_same_rules(has_masks, primary):
    one = protocol_for("mine", has_masks=has_masks)
    assert (one.name, one.dataset, one.primary, one.metrics) == ("mine-local", "mine", primary, METRICS)
    assert one.is_local
    assert "on this machine's data only" in one.notes[0]


def test_a_protocol_cannot_be_changed():
    with pytest.raises(AttributeError, match="cannot assign to field 'seeds'"):
        protocol("brain-phantom-v1").seeds = 1
