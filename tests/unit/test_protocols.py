"""Protocols: frozen once shipped. A rule that changes needs a protocol of another name."""

from dataclasses import replace

import pytest

from uadbench.errors import InvalidDataError, UnknownNameError
from uadbench.protocols import METRICS, Protocol, protocol, protocol_for, read_protocol, shipped

FROZEN = {
    "atlas-stroke-v1": "78e53dde2d4f3243464a3ae7977db281dfc9f20f532109b0a180ef059f7c3649",
    "brain-flair-lgg-v1": "6747eb4d2848e89bc01d6322b96970c9b305e57db70ed501e0b451a6243a2f18",
    "brain-mri-br35h-v1": "ae26105cb22c4153be009a69825e8d59035a72e0b0477429794ada5642b504a1",
    "brain-phantom-v1": "b3d0df0465adf03f11e0bf7646e81ca0674c983d44d21965743b5de89acfaa5a",
    "brain-tumor-ae4-v1": "4f90b6780ca38a596a1af61bf191cdb9564f4ca2bdec1c8c8023b6a46347e8be",
    "brats2021-ae4-v1": "b70bd115f7aace0450b4a6db129be2e75f6f3949bf804a0bdc2cc4c0fb0c3815",
    "chest-xray-nih-v1": "30d020a280a2014c76075b711978ab36cd01635118c9db97bf67c3343512a0cd",
    "cxr-covid-mor-v1": "4af82359985affb67ed2a2c6dab3397ff55260d0178623800345ce953b809017",
    "cxr-pneumonia-mor-v1": "294d808f1d78d03590cd2d4e604dcffab4bae979fc8b1b2106dd179930b39a57",
    "cxr-rsna-ae4-v1": "7bb49ffc32ebb3ced6ffd0b18dd873d90230b24ba90f1ef325daab42a5e0fc6f",
    "cxr-vindr-ae4-v1": "a598343cf9b43fd472acce24d2e239735057e520429293ef696eef9170171048",
    "fastmri-global-v1": "ed094ebd774875f838b6461732b181bb33861a75a6143b917335696fc6bf4a81",
    "fastmri-local-v1": "38e5dc3c9f6670afc7230359c55057f941cfb41792ffe47360d8e5039af7130e",
    "mood-residual-v1": "a83c2bc3a209994e70a0c39e32359630f2310a54fb065cf3e529b3645d9e93d0",
    "synthetic-ra-fastmri-v1": "f84b010e6f09fc63da463af09f698eecf13946f39a57581dff515f281dcf1217",
    "synthetic-ra-phantom-v1": "d4675af9de69ca1733beb65733b0906944f353388c4a1ceac44ba5bcfd6b91a9",
}
PRIMARY = {
    **dict.fromkeys(FROZEN, "image_auroc"),
    **dict.fromkeys(("atlas-stroke-v1", "brain-flair-lgg-v1", "brain-mri-br35h-v1", "brain-phantom-v1"), "pixel_ap"),
    **dict.fromkeys(("brats2021-ae4-v1", "synthetic-ra-fastmri-v1", "synthetic-ra-phantom-v1"), "pixel_ap"),
    "fastmri-local-v1": "box_f1",
    "mood-residual-v1": "pixel_ap_per_image",
}
BOUND = (
    *("brain-flair-lgg-v1", "brain-mri-br35h-v1", "brain-phantom-v1"),
    *("chest-xray-nih-v1", "synthetic-ra-phantom-v1"),
)
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


@pytest.mark.parametrize("name", BOUND)
def test_a_protocol_whose_data_is_at_hand_is_bound_to_it(name):
    one = protocol(name)
    assert bytes.fromhex(one.identity)
    assert len(one.identity) == 64


@pytest.mark.parametrize("name", FROZEN)
def test_the_shipped_protocols_follow_the_design(name):
    one = protocol(name)
    assert (one.pixels, one.threshold, one.seeds, one.resamples) == ("all", "healthy-val", 3, 1000)
    assert one.primary == PRIMARY[name]


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
    assert "on this machine's data only" in one.notes[0]


def test_a_protocol_cannot_be_changed():
    with pytest.raises(AttributeError, match="cannot assign to field 'seeds'"):
        protocol("brain-phantom-v1").seeds = 1
