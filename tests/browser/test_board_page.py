"""The page in a real browser: its script sorts, opens tabs and draws curves, and nothing is blocked or fetched."""

import re
import shutil
import subprocess

import factories
import pytest

from uadbench.board import group, leaderboard, write_board
from uadbench.protocols import METRICS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed; the page needs a browser")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
           "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
           "--virtual-time-budget=4000", "--window-size=1400,1000")  # fmt: skip

WIDE = ("pixel_ap", *METRICS[:4], "pixel_auroc", "aupro", "oracle_dice", "dice_at_fpr5", "dice_at_fpr1",
        "recon_mse_inside")  # fmt: skip
SHOWN = "[...inner.querySelectorAll('thead th[data-key]')].filter((one) => !one.hidden).map((one) => one.dataset.key)"
PAPERS = "[...inner.querySelectorAll('tr.paper:not([hidden]) .variant')].map((one) => one.textContent)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    strata = ("all", "mass", "stroke")
    numbers = {"best": 0.8, "middle": 0.5, "lowest": 0.2}
    results = [
        factories.result(
            method, number,
            values=tuple(factories.value(metric, number if metric == "pixel_ap" else 1 - number, stratum)
                         for metric in ("pixel_ap", "image_auroc") for stratum in strata),
            curves={"image_roc": factories.curve(), "pixel_pr": factories.curve()},
        )
        for method, number in numbers.items()
    ]  # fmt: skip
    part = factories.result("part", 0.9, complete=(1, 40))
    return write_board(leaderboard(factories.protocol(), group([*results, part])), tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory):
    """Eleven metrics and the printed rows of three tables."""
    rules = factories.protocol(name="synthetic-ra-fastmri-v1", metrics=WIDE)
    results = [factories.result(method, number, rules=rules) for method, number in (("best", 0.9), ("lowest", 0.1))]
    return write_board(leaderboard(rules, group(results)), tmp_path_factory.mktemp("board"))


def run(page, fragment, folder, *more):
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", *more, f"{page.as_uri()}#{fragment}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def dom(page, fragment, folder):
    return run(page, fragment, folder, "--dump-dom").stdout


def asked(page, fragment, folder, expression):
    """What a JavaScript expression says of the page (its document is `inner`) in a frame as wide as a phone."""
    probe = folder / "probe.html"
    folder.mkdir(exist_ok=True)
    probe.write_text(
        f'<iframe width="390" height="800" src="{page.as_uri()}#{fragment}"></iframe><script>'
        'document.querySelector("iframe").addEventListener("load", (event) => {'
        f"const inner = event.target.contentDocument; document.title = {expression}; }});</script>"
    )
    html = run(probe, "", folder / "profile", "--dump-dom", "--allow-file-access-from-files").stdout
    return re.search(r"<title>(.*?)</title>", html).group(1)


def order(html):
    return re.findall(r'<a class="name"[^>]*>(\w+)</a>', html)


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", ["BEST", "MIDDLE", "LOWEST", "PART"]),
        ("sort=pixel_ap:ascending", ["LOWEST", "MIDDLE", "BEST", "PART"]),
        ("sort=image_auroc:descending", ["LOWEST", "MIDDLE", "BEST", "PART"]),
        ("sort=method:descending", ["MIDDLE", "LOWEST", "BEST", "PART"]),
    ],
)
def test_the_table_is_sorted_as_the_address_says_with_the_incomplete_row_last(page, tmp_path, fragment, expected):
    assert order(dom(page, fragment, tmp_path)) == expected


def test_the_sorted_column_says_so(page, tmp_path):
    html = dom(page, "sort=image_auroc:ascending", tmp_path)
    assert re.findall(r'data-key="(\w+)"[^>]*aria-sort="ascending"', html) == ["image_auroc"]


def test_one_tab_is_open_at_a_time(page, tmp_path):
    html = dom(page, "tab=pathologies&metric=image_auroc", tmp_path)
    assert re.findall(r'id="tab-(\w+)"[^>]*aria-selected="true"', html) == ["pathologies"]
    shown = re.findall(r'<section class="panel" id="panel-(\w+)"(?![^>]*hidden)[^>]*>', html)
    assert shown == ["pathologies"]
    assert re.findall(r'data-metric="(\w+)"(?! hidden)', html) == ["image_auroc"]


def test_curves_are_drawn_when_their_tab_opens_and_not_before(page, tmp_path):
    assert 'class="canvas js-plotly-plot"' not in dom(page, "", tmp_path)
    html = dom(page, "tab=curves", tmp_path)
    assert html.count('class="canvas js-plotly-plot"') == 2
    assert html.count('aria-pressed="true"') == 3


def test_a_rows_provenance_opens_by_its_address(page, tmp_path):
    identity = re.search(r'id="row-(\w+)"', page.read_text()).group(1)
    html = dom(page, f"tab=provenance&row={identity}", tmp_path)
    assert re.search(rf'<details class="record" id="row-{identity}" open', html)


def test_the_policy_blocks_none_of_the_pages_own_scripts(page, tmp_path):
    noise = run(page, "tab=curves", tmp_path, "--dump-dom").stderr
    assert not [line for line in noise.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("tab", ["leaderboard", "pathologies", "curves", "provenance"])
def test_the_page_is_no_wider_than_a_phone(page, tmp_path, tab):
    wider = "inner.documentElement.scrollWidth - inner.documentElement.clientWidth"
    assert asked(page, f"tab={tab}", tmp_path, wider) == "0"


def test_clicking_a_heading_sorts_and_clicking_again_turns_the_order_round(page, tmp_path):
    click = "inner.querySelector('[data-key=image_auroc] button').click()"
    names = "[...inner.querySelectorAll('a.name')].map((one) => one.textContent).join(' ')"
    assert asked(page, "", tmp_path / "one", f"({click}, {names})") == "LOWEST MIDDLE BEST PART"
    assert asked(page, "", tmp_path / "two", f"({click}, {click}, {names})") == "BEST MIDDLE LOWEST PART"


def test_arrow_keys_move_between_tabs(page, tmp_path):
    key = "new KeyboardEvent('keydown', { key: 'ArrowRight' })"
    press = f"inner.querySelector('#tab-leaderboard').dispatchEvent({key})"
    chosen = "inner.querySelector('[aria-selected=true]').id"
    assert asked(page, "", tmp_path, f"({press}, {chosen})") == "tab-pathologies"


def test_eight_metrics_are_shown_first_and_the_address_chooses_others(wide_page, tmp_path):
    assert asked(wide_page, "", tmp_path / "one", SHOWN).split(",")[2:] == list(WIDE[:8])
    chosen = asked(wide_page, "columns=recon_mse_inside.image_ap", tmp_path / "two", SHOWN)
    assert chosen.split(",")[2:] == ["pixel_ap", "image_ap", "recon_mse_inside"]


def test_a_click_on_a_column_shows_it_and_the_address_keeps_it(wide_page, tmp_path):
    click = "inner.querySelector('#columns input[value=recon_mse_inside]').click()"
    fragment = "event.target.contentWindow.location.hash"
    address, shown = asked(wide_page, "", tmp_path, f"({click}, {fragment} + ' ' + {SHOWN})").split(" ")
    assert address == f"#columns={'.'.join((*WIDE[:8], 'recon_mse_inside'))}"
    assert shown.split(",")[2:] == [*WIDE[:8], "recon_mse_inside"]


def test_all_columns_and_only_the_first_are_a_click_away(wide_page, tmp_path):
    def click(name):
        return f"inner.querySelector('[data-preset={name}]').click()"

    assert asked(wide_page, "", tmp_path / "all", f"({click('all')}, {SHOWN}.length)") == str(2 + len(WIDE))
    assert asked(wide_page, "", tmp_path / "none", f"({click('none')}, {SHOWN}.slice(2))") == "pixel_ap"


def test_printed_rows_stay_under_the_ranked_ones_however_the_table_is_sorted(wide_page, tmp_path):
    for place, fragment in enumerate(("", "sort=pixel_ap:ascending", "sort=method:descending")):
        names = order(dom(wide_page, fragment, tmp_path / str(place)))
        assert set(names[:2]) == {"BEST", "LOWEST"}
        assert len(names) > 10


def test_a_printed_row_without_a_number_in_any_shown_column_is_away(wide_page, tmp_path):
    assert "RA Table 1(a)" not in asked(wide_page, "", tmp_path / "one", PAPERS)
    assert "RA Table 1(a)" in asked(wide_page, "columns=recon_mse_inside", tmp_path / "two", PAPERS)


def test_printed_rows_can_be_taken_away(wide_page, tmp_path):
    click = "inner.querySelector('#papers').click()"
    shown = "getComputedStyle(inner.querySelector('tbody.papers')).display"
    assert asked(wide_page, "", tmp_path, f"({click}, {shown})") == "none"


def test_a_printed_rows_table_opens_by_its_address(wide_page, tmp_path):
    html = dom(wide_page, "tab=provenance&row=ra-table-1-b", tmp_path)
    assert re.search(r'<details class="record published" id="row-ra-table-1-b" open', html)


@pytest.mark.parametrize("view", ["", "columns=recon_mse_inside", "tab=provenance&row=pha-table-1"])
def test_a_page_of_many_columns_is_no_wider_than_a_phone(wide_page, tmp_path, view):
    opened = "inner.querySelectorAll('details').forEach((one) => { one.open = true; })"
    wider = "inner.documentElement.scrollWidth - inner.documentElement.clientWidth"
    assert asked(wide_page, view, tmp_path, f"({opened}, {wider})") == "0"
