"""Protocols: frozen once shipped. A rule that changes needs a protocol of another name."""

from dataclasses import replace

import pytest

from uadbench.errors import InvalidDataError, UnknownNameError
from uadbench.protocols import METRICS, Protocol, protocol, protocol_for, read_protocol, shipped

FROZEN = {
    "brain-flair-lgg-v1": "20d0a99e64d936a48ab32e9c0e1d1ec83df7c3005c0aea0fb2e0ecef41c83e5b",
    "brain-mri-br35h-v1": "6e7807b9e49fb48902c9c729fe65d036058ca3312441eb09fa77c73735bcf042",
    "brain-phantom-v1": "16ded75d8ac5d7171c368592e3b9b68c5fd3527f56464b28fcebcb5c369368c3",
    "chest-xray-nih-v1": "6128b45f10fb281336eaa616698cc7bcced35c761d24ab1733ec77f36dd39479",
}
PLAIN = """
name = "toy-v1"
title = "Toy"
dataset = "toy"
primary = "pixel_ap"
"""
OTHER_RULES = [
    {"dataset": "other"},
    {"primary": "image_auroc"},
    {"metrics": ("pixel_ap",)},
    {"identity": "ab" * 32},
    {"pixels": "foreground"},
    {"seeds": 5},
    {"resamples": 500},
    {"resample_seed": 1},
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


@pytest.mark.parametrize("words", [{"title": "Another"}, {"notes": ("A note.",)}], ids=["title", "notes"])
def test_words_may_be_bettered_without_a_new_name(words):
    assert toy(**words).digest == toy().digest


def test_title_and_notes_are_words_and_not_in_the_digest():
    assert toy(title="Another title", notes=("A note.",)).digest == toy().digest


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


@pytest.mark.parametrize("rule", [{"pixels": "body"}, {"threshold": "test"}])
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
