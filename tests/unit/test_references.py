"""Reference rows: what papers print is shipped unchanged, and the papers' own inconsistencies are known."""

from collections import Counter
from dataclasses import replace

import pytest

from uadbench.board import leaderboard
from uadbench.board.published import paper_rows
from uadbench.errors import InvalidDataError
from uadbench.protocols import shipped
from uadbench.references import citations, inconsistencies, on_board, parts, references
from uadbench.references.checking import checks

ROWS = {
    "MOR Table 1": 40, "MOR Fig. 5(a)": 12, "RA Table 1(a)": 20, "RA Table 1(b)": 10, "RA Table 2(a)": 18,
    "RA Table 2(b)": 15, "RA text": 20, "RA Table 3": 25, "RA App. C.3": 13, "RA code": 13, "PHA Table 1": 55,
    "PHA Table 2": 32, "AE4 Table 1": 80, "AE4 Table 2": 50, "AE4 Table A3": 12, "PIT Sec. 4": 1, "PIT Sec. 4.1": 3,
    "PIT Sec. 4.2": 1, "PIT Sec. 4.3.1": 2, "PIT Fig. 4(b)": 10,
}  # fmt: skip

# Read off the papers by hand: source, method, dataset, metric, the printed text and the value in our unit.
PRINTED = [
    ("MOR Table 1", "AE-S", "mor-cxr/healthy", "recon_lpips", "1.3*", 0.013),
    ("MOR Table 1", "MorphAEus", "mor-cxr/covid", "image_auroc", "86.0 ± 0.7", 0.86),
    ("MOR Table 1", "AAE", "mor-cxr/average", "image_auroc", "57.8", 0.578),
    ("MOR Fig. 5(a)", "MorphAEus w. PL, w/o M", "mor-cxr/healthy", "recon_lpips", "8.3", 0.083),
    ("MOR Fig. 5(a)", "MorphAEus w/o PL, w. M", "mor-cxr/average", "image_auroc", "82.1", 0.821),
    ("RA Table 1(a)", "VAE", "ra-fastmri-synthetic/intensity", "recon_mse_inside", "4.4 ± 5.70", 0.044),
    ("RA Table 1(a)", "RA", "ra-fastmri-synthetic/texture", "LPIPS inside mask", "18.5 ± 5.8", 0.185),
    ("RA Table 1(b)", "RA", "ra-fastmri-synthetic/intensity", "pixel_ap", "73.7", 0.737),
    ("RA Table 1(b)", "DAE", "ra-fastmri-synthetic/texture", "pixel_ap", "30.1", 0.301),
    ("RA Table 2(a)", "AE", "ra-fastmri-global/average", "image_auroc", "47.4 ± 7.6", 0.474),
    ("RA Table 2(a)", "RA", "ra-fastmri-global/artefacts", "image_auroc", "89.8 ± 0.7", 0.898),
    ("RA Table 2(b)", "SI-VAE", "ra-fastmri-local", "#Detected", "82/171", 82),
    ("RA Table 2(b)", "RA", "ra-fastmri-local", "box_f1_code", "37.9", 0.379),
    ("RA text", "DAE", "ra-fastmri-local/enlarged ventricles", "share detected", "31%", 0.31),
    ("RA text", "RA", "ra-fastmri-local/post-treatment", "#Detected", "32/44", 32),
    ("RA Table 3", "RA w/o Hist. Eq.", "ra-fastmri-global/pathology", "image_auroc", "85.9", 0.859),
    ("RA Table 3", "RA w/o PL", "ra-fastmri-local", "#Detected", "120/171", 120),
    ("RA App. C.3", "paper", "ra-fastmri-local/edema", "boxes", "19", 19),
    ("RA code", "published splits", "ra-fastmri-local/edema", "boxes", "18", 18),
    ("PHA Table 1", "PHANES", "pha-fastmri-synthetic", "pixel_ap", "77.93", 0.7793),
    ("PHA Table 1", "VAE", "pha-fastmri-synthetic", "change of Healthy LPIPS", "+1376%", 13.76),
    ("PHA Table 2", "PHANES", "pha-atlas", "oracle_dice", "32.17 ± 2.0", 0.3217),
    ("PHA Table 2", "DAE", "pha-atlas", "change of oracle_dice", "-53%", -0.53),
    ("AE4 Table 1", "AE, d=128", "ae4-rsna", "image_auroc", "60.5 ± 0.6", 0.605),
    ("AE4 Table 1", "AE, d=1", "ae4-brats2021", "oracle_dice", "40.8 ± 3.4", 0.408),
    ("AE4 Table 2", "VAE", "ae4-brats2021", "pixel_ap", "44.0 ± 5.3", 0.44),
    ("AE4 Table 2", "AE[d_opt]", "ae4-vindr", "image_ap", "64.1 ± 0.8", 0.641),
    ("AE4 Table A3", "data", "ae4-brats2021", "anomalous test images", "1948", 1948),
    ("AE4 Table A3", "data", "ae4-rsna", "train images", "3851", 3851),
    ("PIT Sec. 4.2", "pixel shuffle", "pit-brain", "matching constant intensity", "0.44", 0.44),
    ("PIT Fig. 4(b)", "AE latent 32", "pit-brain", "AP", "0.320", 0.32),
    ("PIT Fig. 4(b)", "Spatial AE 8x8x2", "pit-brain", "reconstruction error", "0.03249", 0.03249),
]  # fmt: skip


def find(source, method, dataset, metric):
    return [one for one in references(dataset) if (one.source, one.method, one.metric) == (source, method, metric)]


def test_every_table_is_shipped_whole():
    assert Counter(one.source for one in references()) == ROWS


@pytest.mark.parametrize(("source", "method", "dataset", "metric", "printed", "value"), PRINTED)
def test_a_row_holds_what_the_paper_prints(source, method, dataset, metric, printed, value):
    (one,) = find(source, method, dataset, metric)
    assert (one.printed, one.value) == (printed, pytest.approx(value))


def test_the_printed_figure_follows_from_value_and_scale():
    for one in references():
        assert float(one.printed.split("/")[0].split(" ")[0].strip("*%")) == pytest.approx(one.value * one.scale)


def test_spreads_are_in_the_unit_of_the_values():
    (one,) = find("AE4 Table 2", "MemAE", "ae4-brats2021", "image_auroc")
    assert (one.value, one.spread, one.scale) == pytest.approx((0.639, 0.077, 100))


def test_no_number_is_there_twice_but_the_edema_f1_that_the_paper_rounds_in_two_ways():
    keys = Counter((one.source, one.method, one.dataset, one.metric) for one in references())
    assert [key for key, count in keys.items() if count > 1] == [
        ("RA text", "RA", "ra-fastmri-local/edema", "box_f1_code")
    ]


def test_the_checks_flag_exactly_the_known_inconsistencies():
    found = [(one.reference.source, one.reference.method, one.reference.dataset) for one in inconsistencies()]
    assert found == [
        ("MOR Table 1", "AAE", "mor-cxr/average"),
        ("PHA Table 2", "DAE", "pha-atlas"),
        ("RA text", "RA vs SI-VAE", "ra-fastmri-synthetic/average"),
        ("RA App. C.3", "paper", "ra-fastmri-local/edema"),
        ("RA Table 2(b)", "paper", "ra-fastmri-local"),
    ]


def test_an_inconsistency_says_what_is_printed_and_what_it_should_be():
    sentences = [one.sentence for one in inconsistencies()]
    assert "image_auroc is printed as 57.8, but the mean of its parts gives 59.1." in sentences[0]
    assert "printed as -53, but the change against PHANES gives -51.45." in sentences[1]
    assert "printed as 171, but the sum over the classes of App. C.3 gives 172." in sentences[4]


def test_everything_that_can_be_recomputed_is():
    counts = Counter(one.reference.source for one in checks())
    assert counts == {
        "MOR Table 1": 8, "RA Table 2(a)": 12, "RA Table 3": 10, "MOR Fig. 5(a)": 3, "AE4 Table 2": 20,
        "PHA Table 1": 27, "PHA Table 2": 16, "RA text": 2, "RA Table 2(b)": 3, "RA App. C.3": 13,
    }  # fmt: skip


def test_a_reference_that_disagrees_with_its_printed_text_is_refused():
    one = references("pha-atlas")[0]
    for changes in ({"value": 0.5}, {"spread": None}, {"scale": 1.0}, {"printed": "about 20"}, {"method": ""}):
        with pytest.raises(InvalidDataError, match="PHA Table 2"):
            replace(one, **changes)


def test_a_fraction_in_percent_is_refused():
    with pytest.raises(InvalidDataError, match=r"fraction in \[0, 1\]"):
        replace(references("pha-atlas")[0], value=19.96, spread=2.3, scale=1.0)


def test_a_board_has_the_rows_of_the_datasets_that_it_corresponds_to():
    assert {one.source for one in on_board("cxr-covid-mor-v1")} == {"MOR Table 1", "MOR Fig. 5(a)"}
    assert {one.source for one in on_board("atlas-stroke-v1")} == {"PHA Table 2"}
    assert set(parts("synthetic-ra-fastmri-v1").values()) == {"", "intensity", "texture"}
    assert on_board("brain-phantom-v1") == ()


def test_every_board_with_printed_rows_is_one_of_ours_and_shows_some():
    named = [name for name in shipped() if parts(name)]
    assert len(named) == 10
    assert all(paper_rows(leaderboard(shipped()[name], ())) for name in named)


def test_every_paper_says_where_it_appeared():
    assert {one.paper for one in references()} == set(citations())
