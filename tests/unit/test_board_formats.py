"""What a board is written as beside its page: CSV, BibTeX, sentences to paste; and the rows that papers print."""

import csv
import io
import json
import re

import factories
import pytest
from markupsafe import escape
from rich.console import Console

from uadbench import __version__
from uadbench.board import (
    bibtex,
    caption,
    comma_separated,
    group,
    latex,
    leaderboard,
    markdown,
    paragraph,
    render_page,
    terminal_table,
    write_board,
)
from uadbench.board.facts import Count, Facts
from uadbench.board.heat import heats
from uadbench.board.published import paper_rows, paper_tables
from uadbench.protocols import METRICS

NAMES = (
    "image_auroc", "image_ap", "image_fpr_at_tpr95", "image_recall_at_fpr5", "pixel_ap", "pixel_auroc",
    "pixel_ap_per_image", "oracle_dice", "dice_at_fpr5", "dice_at_fpr1", "recall_at_fpr5", "subject_dice_at_fpr5",
    "subject_auroc", "aupro", "lesion_recall_at_fpr5", "box_f1", "box_f1_foreground", "box_f1_paper", "box_f1_code",
    "box_iou_f1", "recon_ssim", "recon_mse", "recon_mae", "recon_ssim_inside", "recon_mse_inside", "recon_mae_inside",
    "recon_ssim_outside", "recon_mse_outside", "recon_mae_outside", "recon_lpips",
)  # fmt: skip
FACTS = Facts(factories.card(), Count(40, 20), Count(17, 9), {}, Count(23, 13))


def board(*results, **rules):
    made = factories.protocol(**rules)
    return leaderboard(made, group(results or [factories.result(rules=made)]))


def atlas(*results):
    return board(*results, name="atlas-stroke-v1")


def records(made):
    return list(csv.DictReader(io.StringIO(comma_separated(made))))


def scored(method, *, metrics=factories.METRICS, **values):
    cells = [factories.value(name, number, stratum) for name, number in values.items() for stratum in ("all", "mass")]
    return factories.result(method, rules=factories.protocol(metrics=metrics), values=tuple(cells))


@pytest.mark.parametrize("metric", sorted({*NAMES, *METRICS}))
def test_every_metric_has_a_short_title_and_one_sentence(metric):
    known = caption(metric)
    assert 0 < len(known.title) <= 24
    assert known.meaning.endswith(".")


def test_lower_is_better_for_errors_and_distances_only():
    assert {name for name in NAMES if caption(name).lower_is_better} == {
        "image_fpr_at_tpr95", "recon_lpips", "recon_mse", "recon_mse_inside", "recon_mse_outside",
        "recon_mae", "recon_mae_inside", "recon_mae_outside",
    }  # fmt: skip


def test_metrics_that_depend_on_the_scale_of_maps_are_never_ranked_and_say_so():
    assert [name for name in NAMES if not caption(name).graded] == ["box_f1_paper", "box_f1_code"]
    assert "Only to compare with published numbers" in caption("box_f1_code").meaning


def test_the_best_value_is_the_lowest_where_lower_is_better():
    made = board(scored("a", pixel_ap=0.4, recon_mse=0.3), scored("b", pixel_ap=0.5, recon_mse=0.1))
    assert [row.method for row in made.rows if made.is_best(row, "recon_mse")] == ["b"]
    assert [row.method for row in made.rows if made.is_best(row, "pixel_ap")] == ["b"]


def test_no_value_is_best_by_a_metric_that_must_not_be_compared():
    made = board(scored("a", pixel_ap=0.4, box_f1_code=0.3), scored("b", pixel_ap=0.5, box_f1_code=0.1))
    assert not [row for row in made.rows if made.is_best(row, "box_f1_code")]


def test_csv_has_a_line_per_row_metric_and_stratum():
    values = [factories.value(metric, 0.4, stratum) for metric in factories.METRICS for stratum in ("all", "mass")]
    made = board(factories.result("a", values=tuple(values)), factories.result("b", values=tuple(values)))
    lines = records(made)
    assert len(lines) == 2 * 3 * 2
    assert {(line["method"], line["metric"], line["stratum"]) for line in lines} == {
        (method, metric, stratum) for method in "ab" for metric in factories.METRICS for stratum in ("all", "mass")
    }


def test_csv_holds_values_with_full_precision_ranks_seeds_and_counts():
    seeds = [factories.result(number=0.1 + seed / 3, seed=seed, provenance={"params": {"d": 4}}) for seed in (0, 1)]
    line = records(board(*seeds))[0]
    assert float(line["value"]) == pytest.approx(0.1 + 1 / 6, abs=1e-12)
    assert (float(line["least"]), float(line["most"])) == (0.1, 0.1 + 1 / 3)
    assert [line[name] for name in ("seeds", "rank_low", "rank_high", "subjects")] == ["0 1", "1", "1", "20"]
    assert (json.loads(line["params"]), line["origin"]) == ({"d": 4}, "run here")


def test_csv_says_why_a_value_is_undefined():
    values = (factories.value("pixel_ap", None, undefined="no mask, no value."),)
    (line,) = records(board(factories.result(values=values)))
    assert (line["value"], line["low"], line["rank_low"], line["undefined"]) == ("", "", "", "no mask, no value.")


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@sum", "a\n=1,2"])
def test_csv_gives_a_spreadsheet_no_formula_and_stays_one_table(evil):
    lines = records(board(factories.result(provenance={"title": evil})))
    assert len(lines) == 3
    assert not lines[0]["title"].startswith(("=", "+", "-", "@"))
    assert lines[0]["title"].endswith(evil)


def test_bibtex_takes_arxiv_number_and_doi_from_the_papers_text_and_invents_no_author():
    text = "Roth et al., CVPR 2022, arXiv:2106.08265, https://doi.org/10.1109/CVPR52688.2022.01392."
    entries = bibtex(board(factories.result("patchcore", provenance={"paper": text})))
    entry = re.search(r"@misc\{patchcore,.*?\n\}", entries, re.DOTALL)[0]
    assert "eprint = {2106.08265}" in entry
    assert "doi = {10.1109/CVPR52688.2022.01392}" in entry
    assert "author" not in entry


def test_bibtex_cites_uadbench_and_the_dataset():
    entries = bibtex(board(), FACTS)
    assert "@misc{uadbench,\n  key = {uadbench},\n" in entries
    assert f"note = {{Version {__version__}}}" in entries
    assert "@misc{toy-v1,\n" in entries
    assert "note = {Nobody, Journal of Nothing 2024}" in entries


def test_methods_of_one_paper_share_an_entry_and_methods_without_one_have_none():
    results = [
        factories.result(name, provenance={"paper": paper}) for name, paper in (("a", "P"), ("b", "P"), ("c", ""))
    ]
    keys = re.findall(r"@misc\{(.*?),", bibtex(board(*results)))
    assert keys == ["uadbench", "a"]


def test_two_papers_of_one_method_have_two_keys():
    versions = [{"paper": paper, "distribution_version": paper} for paper in ("P", "Q")]
    entries = bibtex(board(*(factories.result("a", provenance=one) for one in versions)))
    assert re.findall(r"@misc\{(.*?),", entries) == ["uadbench", "a", "a-2"]


def test_bibtex_stays_whole_whatever_a_paper_is_called():
    entries = bibtex(board(factories.result("a b", provenance={"paper": "}, title = {x} 100 % \\ of #1 & more_"})))
    assert "@misc{a-b," in entries
    assert r"note = {), title = (x) 100 \% \textbackslash  of \#1 \& more\_}" in entries


def test_the_paragraph_names_protocol_data_statistics_and_seeds():
    made = board(*(factories.result("a", seed=seed) for seed in range(3)), factories.result("b"), factories.result("c"))
    text = paragraph(made, FACTS)
    for words in (f"uadbench {__version__} (metrics version 1)", "protocol toy-v1", made.protocol.digest[:12],
                  "toy-v1, version 1 (identity digest 1d1d1d1d1d1d)", "40 test images (20 subjects)",
                  "17 healthy (9 subjects) and 23 anomalous (13 subjects)", "healthy validation images",
                  "ranked by Pixel AP (average precision", "Image AUROC (chance", "1,000 bootstrap resamples",
                  "(seed 0)", "Holm", "3 seeds for A · quick and 1 seed for all other methods"):  # fmt: skip
        assert words in text


def test_the_paragraph_of_an_empty_board_says_what_is_known():
    text = paragraph(leaderboard(factories.protocol(), ()), Facts())
    assert "protocol toy-v1" in text
    assert "None" not in text


def test_the_paragraph_tells_when_predictions_were_made_by_another_version():
    assert "made with uadbench 0.0.1" in paragraph(
        board(factories.result(provenance={"harness_version": "0.0.1"})), FACTS
    )


@pytest.mark.parametrize(("threshold", "words"), [
    ("healthy-val", "from the healthy validation images; no"), ("healthy-test", "from the healthy test images"),
])  # fmt: skip
def test_the_origin_of_thresholds_is_told_on_the_page_and_in_the_paragraph(threshold, words):
    made = board(factories.result(rules=factories.protocol(threshold=threshold)), threshold=threshold)
    assert words in paragraph(made, FACTS)
    told = " ".join(render_page(made).split()).partition("an <em>oracle</em>")[0]
    assert ("as in the paper that the protocol reproduces" in told) == (threshold == "healthy-test")


def test_every_format_is_written_beside_the_page_and_says_how_to_report(tmp_path):
    made = board()
    page = write_board(made, tmp_path, facts=FACTS)
    written = {path.suffix: path.read_text() for path in tmp_path.iterdir()}
    assert set(written) == {".html", ".md", ".tex", ".csv", ".bib"}
    assert page.suffix == ".html"
    assert escape(paragraph(made, FACTS)) in written[".html"]
    assert "## How to report this" in written[".md"]
    assert "% How to report this:" in written[".tex"]
    assert written[".bib"] in written[".html"]


def test_a_protocol_whose_name_holds_a_dot_keeps_it(tmp_path):
    write_board(board(name="toy-v1.2-local"), tmp_path)
    assert (tmp_path / "toy-v1.2-local.csv").is_file()


def test_a_board_of_a_papers_dataset_shows_what_the_paper_prints():
    rows = paper_rows(atlas())
    assert [row.method for row in rows] == ["PHANES", "AnoDDPM", "RA", "PatchCore", "DAE", "SI-VAE", "MKD", "VAE"]
    assert rows[0].cells["pixel_ap"].value == pytest.approx(0.1996)
    assert {row.source for row in rows} == {"PHA Table 2"}


def test_printed_rows_are_on_the_page_in_markdown_latex_and_on_the_terminal():
    made = atlas(factories.result("ours", 0.1, rules=factories.protocol(name="atlas-stroke-v1")))
    assert render_page(made).count('<tr class="paper">') == 8
    assert "*paper* | *PHANES" in re.sub(r" +", " ", markdown(made))
    assert r"\textcolor{gray}{0.200 $\pm$ 0.023}" in latex(made)
    assert [str(cell) for cell in terminal_table(made).columns[0].cells] == ["1", *["paper"] * 8]


def test_printed_rows_are_never_ranked_nor_best():
    made = atlas(factories.result("ours", 0.01, rules=factories.protocol(name="atlas-stroke-v1")))
    assert [row.rank_text for row in made.rows] == ["1"]
    assert made.is_best(made.rows[0], "pixel_ap")
    assert r"\textbf{0.010}" in latex(made)


def test_an_empty_board_of_a_papers_dataset_shows_the_paper():
    page = render_page(leaderboard(factories.protocol(name="atlas-stroke-v1"), ()))
    assert "No row yet" in page
    assert page.count('<tr class="paper">') == 8


def test_other_boards_have_no_printed_rows():
    made = board()
    assert (made.references, paper_rows(made)) == ((), ())
    assert '<tbody class="papers">' not in render_page(made)
    assert "Rows marked" not in markdown(made)


def test_the_provenance_of_a_printed_row_is_its_table_with_note_and_doubt():
    page = render_page(atlas())
    (table,) = paper_tables(atlas())
    assert table.source == "PHA Table 2"
    assert 'id="row-pha-table-2"' in page
    assert "p &lt; 0.05; the test is not named." in page
    assert "printed as -53, but the change against PHANES gives -51.45." in page


def test_parts_of_a_papers_data_are_told_apart():
    made = board(name="synthetic-ra-fastmri-v1")
    assert {row.part for row in paper_rows(made)} == {"", "intensity", "texture"}
    assert "RA · intensity" in [row.label for row in paper_rows(made)]


def test_rows_are_ranked_from_the_lowest_value_where_lower_is_better():
    rules = factories.protocol(primary="image_fpr_at_tpr95", metrics=("image_fpr_at_tpr95",))
    made = board(*(factories.result(name, number, rules=rules) for name, number in (("a", 0.9), ("b", 0.1))),
                 primary="image_fpr_at_tpr95", metrics=("image_fpr_at_tpr95",))  # fmt: skip
    assert [(row.method, row.rank_text, row.level) for row in made.rows] == [("b", "1", True), ("a", "2", False)]


def test_heat_is_densest_at_the_best_end():
    metrics = ("pixel_ap", "recon_mse")
    results = [scored(str(number), metrics=metrics, pixel_ap=number, recon_mse=number) for number in (0.1, 0.9)]
    made = board(*results, metrics=metrics)
    for heat, low_end in zip(heats(made, FACTS), (0, 100), strict=True):
        warmths = {row.method: heat.warmth(row.cell(heat.metric, "mass"), heat.columns[0]) for row in made.rows}
        assert warmths == {"0.1": low_end, "0.9": 100 - low_end}


def test_headings_say_which_way_is_better_and_which_are_not_ranked():
    metrics = ("pixel_ap", "recon_mse", "box_f1_code")
    made = board(scored("a", metrics=metrics, pixel_ap=0.4, recon_mse=0.1, box_f1_code=0.2), metrics=metrics)
    page = render_page(made)
    assert re.search(r'data-key="recon_mse" data-first="ascending".*?lower is better', page)
    assert re.search(r'data-key="box_f1_code".*?not ranked', page)
    assert "Recon MSE ↓" in markdown(made)
    assert r"Recon MSE $\downarrow$" in latex(made)


@pytest.mark.parametrize(("width", "shown"), [(160, 8), (120, 5), (80, 2)])
def test_the_terminal_shows_the_metrics_that_fit_and_says_how_many_more_there_are(width, shown):
    rules = factories.protocol(metrics=METRICS[:11])
    table = terminal_table(board(factories.result(rules=rules), metrics=METRICS[:11]), width)
    lines = io.StringIO()
    Console(file=lines, width=width).print(table)
    assert len(table.columns) == 3 + shown
    assert table.caption == f"{11 - shown} more metrics are on the page and in the CSV."
    assert all(line.strip()[-1:] in "┓┃┩│┤┘." for line in lines.getvalue().splitlines()[1:])


def test_an_uncomparable_primary_metric_ranks_nobody():
    rules = factories.protocol()
    object.__setattr__(rules, "primary", "box_f1_code")  # a protocol with it is refused; a board must hold all the same
    made = leaderboard(rules, group([factories.result(rules=rules, values=(factories.value("box_f1_code", 0.4),))]))
    assert made.rows[0].rank is None
