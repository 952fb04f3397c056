"""The leaderboard: rows over seeds, what is ranked, and the page and tables that show it."""

import re
from html.parser import HTMLParser

import factories
import pytest

from uadbench.board import Entry, group, latex, leaderboard, markdown, render_page, terminal_table, write_board
from uadbench.board.facts import Count, Facts
from uadbench.errors import InvalidDataError

EVIL = "<script>alert('x')</script>"


def board(*results, rules=None):
    return leaderboard(rules or factories.protocol(), group(results))


class Tags(HTMLParser):
    """Every start tag of a page with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_seeds_of_one_configuration_make_one_row_with_mean_and_spread():
    seeds = [factories.result(number=number, seed=seed) for seed, number in enumerate([0.4, 0.5, 0.6])]
    (row,) = board(*seeds).rows
    cell = row.cell("pixel_ap")
    assert (cell.value, cell.least, cell.most, cell.seeds) == pytest.approx((0.5, 0.4, 0.6, 3))
    assert (cell.low, cell.high) == pytest.approx((0.48, 0.52))


def test_a_seed_scored_again_replaces_its_earlier_result():
    (entry,) = group([factories.result(number=0.1), factories.result(number=0.2)])
    assert [result.values[0].value for result in entry.results] == [0.2]


def test_an_entry_of_two_configurations_is_refused():
    with pytest.raises(InvalidDataError, match="2 configurations"):
        Entry((factories.result("ae"), factories.result("vae")))


def test_rows_are_sorted_by_the_primary_metric_and_carry_rank_intervals():
    rows = board(factories.result("low", 0.2), factories.result("high", 0.8), factories.result("tied", 0.8)).rows
    assert [(row.method, row.rank_text) for row in rows] == [("high", "1-2"), ("tied", "1-2"), ("low", "3")]
    assert [row.level for row in rows] == [True, True, False]


def test_a_canary_is_ranked_like_any_row_and_marked():
    rows = board(factories.result("ae", 0.3), factories.result("hist-eq", 0.6, provenance={"canary": True})).rows
    assert [(row.method, row.canary, row.rank_text) for row in rows] == [("hist-eq", True, "1"), ("ae", False, "2")]
    assert "canary" in markdown(board(factories.result(provenance={"canary": True})))


@pytest.mark.parametrize(("stochastic", "seeds", "provisional"), [(True, 2, True), (True, 3, False), (False, 1, False)])
def test_a_stochastic_method_with_fewer_seeds_than_the_protocol_asks_is_provisional(stochastic, seeds, provisional):
    results = [factories.result(seed=seed, provenance={"stochastic": stochastic}) for seed in range(seeds)]
    assert board(*results).rows[0].provisional is provisional


def test_a_row_on_a_dataset_with_an_allowed_leak_is_marked_in_page_and_markdown():
    leaks = ("subject 'ann' is in train & test.",)
    digests = factories.result("mine", 0.7).dataset.model_copy(update={"leaks": leaks})
    known = board(factories.result("mine", 0.7, dataset=digests), factories.result("other", 0.6))
    assert [row.leaky for row in known.rows] == [True, False]
    assert r"\[leak\]" in markdown(known)
    assert "subject &#39;ann&#39; is in train &amp; test." in render_page(known)


def test_an_incomplete_row_is_unranked_and_last_however_high_its_values():
    rows = board(factories.result("part", 0.9, complete=(39, 40)), factories.result("whole", 0.1)).rows
    assert [(row.method, row.rank_text) for row in rows] == [("whole", "1"), ("part", "–")]
    assert "incomplete 39/40" in render_page(board(factories.result(complete=(39, 40))))


def test_the_best_value_is_marked_for_every_row_that_prints_it_but_not_for_an_incomplete_one():
    results = [factories.result("a", 0.40004), factories.result("b", 0.40001), factories.result("c", 0.3)]
    made = board(*results, factories.result("d", 0.9, complete=(1, 40)))
    assert [row.method for row in made.rows if made.is_best(row, "pixel_ap")] == ["a", "b"]
    assert markdown(made).count("**0.400**") == 2 * len(made.metrics)


def test_configurations_of_one_method_are_told_apart_by_the_parameters_that_differ():
    params = [{"beta": 64, "lr": 0.1}, {"beta": 256, "lr": 0.1}]
    rows = board(*(factories.result(number=0.5, provenance={"params": one}) for one in params)).rows
    assert sorted(row.variant for row in rows) == ["quick, beta=256", "quick, beta=64"]


def test_versions_of_one_configuration_are_told_apart():
    rows = board(*(factories.result(provenance={"distribution_version": one}) for one in ("0.1", "0.2"))).rows
    assert sorted(row.label for row in rows) == ["AE · quick, 0.1", "AE · quick, 0.2"]


def test_external_predictions_need_no_more_than_a_method():
    made = board(factories.result().model_copy(update={"provenance": {"method": "mine"}}))
    assert made.rows[0].label == "mine"
    assert "mine" in render_page(made)


def test_an_undefined_value_is_a_dash_with_its_reason():
    values = (factories.value("pixel_ap", 0.4), factories.value("image_auroc", None, undefined="no healthy image."))
    page = render_page(board(factories.result("a", values=values), factories.result("b")))
    dashes = [one for one in Tags(page).named("abbr") if "no healthy image." in one["title"]]
    assert len(dashes) == 1
    assert not re.search(r">\s*(nan|None)\s*<", page, re.IGNORECASE)


def test_one_undefined_seed_leaves_the_mean_undefined():
    lame = factories.result(seed=1, values=(factories.value("pixel_ap", None, undefined="0/0."),))
    (row,) = board(factories.result(), lame).rows
    assert (row.cell("pixel_ap").value, row.cell("pixel_ap").undefined, row.rank) == (None, "0/0.", None)


def test_a_metric_without_any_value_has_no_column_but_a_reason():
    values = (factories.value("pixel_ap", 0.4), factories.value("image_auroc", None, undefined="no healthy image."))
    made = board(factories.result(values=values))
    assert made.metrics == ("pixel_ap",)
    assert made.absent["image_auroc"] == "no healthy image."


def test_rows_of_another_protocol_dataset_or_metric_version_are_refused():
    other = factories.protocol(name="other-v1")
    with pytest.raises(InvalidDataError, match=r"scored by other-v1 .* Score it again"):
        board(factories.result(rules=other), rules=factories.protocol())
    bound = factories.protocol(identity="ff" * 32)
    with pytest.raises(InvalidDataError, match="not the board's"):
        board(factories.result(rules=bound), rules=bound)
    with pytest.raises(InvalidDataError, match="version 2, others by version 1"):
        board(factories.result("a"), factories.result("b", metric_version="2"))


def test_other_pixels_of_the_same_dataset_are_a_warning():
    digests = factories.result().dataset.model_copy(update={"pixels": "00" * 32})
    rows = board(factories.result("a"), factories.result("b"), factories.result("c", dataset=digests)).rows
    assert [row.method for row in rows if "pixels differ" in " ".join(row.warnings)] == ["c"]


def test_text_of_results_is_escaped_everywhere():
    provenance = {"title": EVIL, "paper": EVIL, "params": {EVIL: EVIL}, "preset": EVIL}
    values = (factories.value("pixel_ap", 0.4), factories.value("pixel_ap", 0.4, stratum=EVIL))
    made = factories.result(
        provenance=provenance, values=values, warnings=(EVIL,), curves={"image_roc": factories.curve()}
    )
    page = render_page(board(made))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "<script>" not in markdown(board(made))


def test_the_page_loads_nothing_from_the_network():
    tags = Tags(render_page(board(factories.result(curves={"image_roc": factories.curve()}))))
    loaded = [one.get("src") or one.get("href") for _, one in tags.found if one.get("src") or one.get("href")]
    assert all(link.startswith(("#", "data:")) for link in loaded)
    assert "default-src 'none'" in tags.named("meta")[1]["content"]
    assert not tags.named("link")


def test_a_row_says_what_its_method_found_out_about_itself():
    page = render_page(board(factories.result(provenance={"diagnostics": {"folding": 0.0125}})))
    assert "folding 0.0125" in page
    assert "diagnostics" not in render_page(board(factories.result()))


def test_plotly_is_inlined_once_and_only_where_there_are_curves():
    with_curves = render_page(board(factories.result(curves={"image_roc": factories.curve()})))
    assert len(re.findall(r"^\* plotly\.js v", with_curves, re.MULTILINE)) == 1
    assert len(render_page(board(factories.result()))) < 100_000


def test_headings_sort_by_keyboard_and_say_how_the_table_is_sorted():
    page = render_page(board(factories.result()))
    heads = [one for one in Tags(page).named("th") if "data-key" in one]
    assert [one["data-key"] for one in heads] == ["rank", "method", "pixel_ap", "image_auroc", "dice_at_fpr5"]
    assert [one["aria-sort"] for one in heads] == ["ascending", "none", "none", "none", "none"]
    assert len(re.findall(r"<th [^>]*data-key[^>]*><button", page)) == len(heads)


def test_strata_with_few_cases_are_greyed_out_and_counted():
    values = [factories.value("pixel_ap", 0.4, stratum) for stratum in ("all", "mass", "stroke")]
    facts = Facts(pathologies={"mass": Count(12, 10), "stroke": Count(9, 3)})
    page = render_page(board(factories.result(values=tuple(values))), facts=facts)
    assert re.search(r'class="number">mass<span class="small">n = 12', page)
    assert re.search(r'class="number few">stroke<span class="small">n = 9', page)


def test_counts_of_pathologies_follow_from_the_results_where_the_dataset_is_away():
    images = {"all": 40, "mass": 30, "stroke": 27}
    values = [factories.value("image_auroc", 0.8, stratum, images=n) for stratum, n in images.items()]
    page = render_page(board(factories.result(values=(factories.value("pixel_ap", 0.4), *values))))
    assert "40: 17 healthy, 23 anomalous" in page
    assert re.search(r"mass<span class=\"small\">n = 13", page)


def test_page_markdown_and_latex_hold_the_same_numbers(tmp_path):
    made = board(factories.result("a_b", 0.4321), factories.result("c&d", 0.1234))
    path = write_board(made, tmp_path)
    texts = [path.with_suffix(suffix).read_text() for suffix in (".html", ".md", ".tex")]
    assert path.name == "toy-v1.html"
    for text in texts:
        assert all(number in text for number in ("0.432", "0.412", "0.452", "0.123"))
    assert r"A\_B" in texts[2]
    assert r"C\&D" in texts[2]


def test_latex_has_rules_of_booktabs_and_the_best_in_bold():
    table = latex(board(factories.result("a", 0.5), factories.result("b", 0.1)))
    assert [table.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\hline")] == [1, 1, 1, 0]
    assert r"\textbf{0.500} (0.480--0.520)" in table


def test_the_terminal_table_has_a_line_per_row():
    table = terminal_table(board(factories.result("a", 0.5), factories.result("b", 0.1)))
    assert [str(cell) for cell in table.columns[0].cells] == ["1", "2"]
    assert [str(cell) for cell in table.columns[3].cells] == ["0.500 (0.480–0.520)", "0.100 (0.080–0.120)"]


def test_a_board_without_rows_says_how_to_get_one():
    made = board()
    assert "No row yet" in render_page(made)
    assert "Rank" in markdown(made)
