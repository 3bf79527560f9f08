"""The page, opened and clicked through in headless Chromium."""

import json
import time
from dataclasses import replace
from urllib.parse import unquote

import pytest

from assets.page.page import render_page
from assets.report.headline import headline
from tests.browser import Page, browser, chromium
from tests.made_up import benchmark_params
from tests.made_up_page import made_up_chapters, made_up_figures, made_up_gallery, made_up_results

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium: none of chromium, chromium-browser, google-chrome is on the PATH"
)

CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, under) => top.slice(0, 3).map((one, i) => one * top[3] + under[i] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const light = (rgb) => {
    const linear = (c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((one) => linear(one / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const bad = {};
  for (const element of document.querySelectorAll("main *, header *, nav *, dialog *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest("svg, .vh, td > i")) continue;
    const under = ground(element), text = over(rgba(getComputedStyle(element).color), under);
    const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) bad[`${element.tagName}.${element.className} ${element.textContent.trim()}`] = ratio;
  }
  return bad;
})()
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Address of a page on 3 generators, 2 detectors, 3 conditions."""
    root = tmp_path_factory.mktemp("report")
    params = benchmark_params(("dcgan", "ldm", "vqdm"), conditions=("jpeg65", "blur3"))
    results = made_up_results(root, params, n_real=42, n_generated=35)
    text = render_page(
        results, made_up_chapters(results), made_up_figures(), made_up_gallery(results), headline(results)
    )
    (root / "index.html").write_text(text, "utf-8")
    return (root / "index.html").as_uri()


HOSTILE = "</script><script>hacked = 1</script><img src=x onerror='hacked = 1'>\" onfocus=\"hacked = 1"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Address of a page on which a condition, prompts and classes are called by markup."""
    root = tmp_path_factory.mktemp("hostile")
    params = benchmark_params(("dcgan", "ldm"), conditions=())
    results = made_up_results(root, params)
    cells = results.tabulated.cells
    cells = [*cells, *(replace(cell, condition=HOSTILE) for cell in cells)]
    results = replace(results, tabulated=replace(results.tabulated, cells=cells))
    chapters = made_up_chapters(results)
    chapters.append(replace(chapters[0], name="evil", title=HOSTILE, intro=(HOSTILE,)))
    gallery = made_up_gallery(results, prompt=HOSTILE, class_name=HOSTILE, id=HOSTILE)
    text = render_page(results, chapters, made_up_figures(), gallery, headline(results))
    (root / "index.html").write_text(text, "utf-8")
    return (root / "index.html").as_uri()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """One browser for all tests; what it asked for and complained about is looked at after each."""
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(tab: Page, report):
    """The page, freshly opened with a wide window and a light theme."""
    tab.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    tab.open("about:blank")
    tab.requests.clear()
    tab.open(report)
    yield tab
    tab.do("localStorage.clear()")
    assert tab.errors == []
    assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in tab.requests)


def visible(page: Page, selector: str) -> list[str]:
    """The texts of the elements that are seen."""
    found: list[str] = page.do(
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        ".filter((element) => element.checkVisibility()).map((element) => element.textContent.trim())"
    )
    return found


def wait_for(page: Page, script: str) -> None:
    """Until an expression is true."""
    end = time.monotonic() + 60
    while not page.do(script):
        assert time.monotonic() < end, script
        time.sleep(0.02)


def test_a_number_opens_what_is_known_about_it(page: Page):
    assert page.do("document.activeElement.tagName") == "BODY"
    page.click("#matrix-auroc tbody tr:nth-child(2) td:nth-of-type(2) button")
    assert visible(page, "#panel-title") == ["resnet18, trained on dcgan"]
    panel = page.do("document.querySelector('#panel-body').textContent")
    assert "evaluate@dcgan-ldm" in panel and "evaluate-real@dcgan" in panel
    assert "41 real, 34 generated" in panel and "Trained on it?no" in panel
    assert visible(page, "#the-panel .command code")[-1] == "assay lineage ab12ab12ab12ab12"
    assert len(visible(page, "#the-panel tbody tr")) == 12
    shown = page.do("document.querySelector('button[aria-expanded=true]').textContent")
    assert visible(page, "#the-panel tbody tr:first-child td")[0].startswith(shown[:3])
    page.press("Escape")
    assert visible(page, "#the-panel") == []
    assert page.do("document.activeElement.textContent") == shown


def test_a_mean_leads_to_its_cells(page: Page):
    page.click("#whom-to-trust-glance tbody tr td:nth-of-type(3) button")
    assert "Mean of" in page.do("document.querySelector('#panel-body').textContent")
    page.click("#panel-body > p > button")
    wait_for(page, "document.querySelectorAll('#explore-table tbody tr').length > 0")
    assert page.do("document.querySelector('#explore-text').value") == "resnet18 clean"
    assert page.do("document.querySelector('#explore-count').textContent").startswith("9 of ")


def test_filters_hide_columns_lines_and_pictures_and_stay_in_the_address(page: Page, report):
    assert visible(page, "#matrix-auroc thead th") == ["trained on", "dcgan", "ldm", "vqdm"]
    assert len(visible(page, ".card")) == 8
    page.click("#the-filters > summary")
    page.click("input[data-name=gan]")
    assert visible(page, "#matrix-auroc thead th") == ["trained on", "ldm", "vqdm"]
    assert len(visible(page, "#matrix-auroc tbody:nth-of-type(1) tr:nth-child(2) td")) == 2
    assert len(visible(page, ".card")) == 6
    assert visible(page, "#num-filtered") == ["1 hidden"]
    assert visible(page, "#matrix-auroc .held") == ["Filters hide 1 column here."]
    page.click("input[data-name=resnet18]")
    assert visible(page, "#matrix-auroc tr.group") == ["detector cnnspot"]
    page.click("[data-facet=condition] [data-all='0']")
    assert visible(page, "#matrix-accuracy .held") == ["Filters hide this table."]
    assert len(visible(page, "#matrix > p")) == 2
    page.click("[data-facet=family] [data-all='0']")
    assert visible(page, "#matrix > p") == [] and len(visible(page, "#matrix > h2")) == 1
    address = page.do("location.href")
    assert "hide.family=gan" in unquote(address)
    page.open("about:blank")
    page.open(address)
    assert visible(page, "#matrix > p") == []
    page.click("#the-filters > summary")
    page.click("#show-everything")
    assert visible(page, "#matrix-auroc thead th") == ["trained on", "dcgan", "ldm", "vqdm"]
    assert page.do("location.hash") == ""


def test_folded_tables_pictures_and_captions_open(page: Page):
    assert visible(page, "#matrix-words table") == []
    page.click("#matrix-words summary")
    assert len(visible(page, "#matrix-words tbody tr")) == 3
    page.click(".card summary")
    assert len(visible(page, ".card li")) == 6
    page.do("document.querySelector('#pick-item').value = 'ldm'")
    page.do("document.querySelector('#pick-item').dispatchEvent(new Event('change'))")
    assert visible(page, "#pick-count") == ["2 of 8 images"]


def test_all_numbers_are_sorted_and_searched(page: Page):
    page.do("document.querySelector('#all-numbers').scrollIntoView()")
    wait_for(page, "document.querySelectorAll('#explore-table tbody tr').length > 0")

    def column() -> list[float]:
        return [
            float(one) for one in visible(page, "#explore-table tbody td:nth-child(6)") if one != "no data"
        ]

    assert column() == sorted(column(), reverse=True) and len(column()) > 20
    page.click("#explore-table th:nth-child(6) button")
    assert column() == sorted(column())
    assert page.do("document.querySelector('#explore-table th:nth-child(6)').ariaSort") == "ascending"
    page.do("document.querySelector('#explore-text').value = 'cnnspot jpeg65'")
    page.do("document.querySelector('#explore-text').dispatchEvent(new Event('input'))")
    assert set(visible(page, "#explore-table tbody th")) == {"cnnspot"}
    assert set(visible(page, "#explore-table tbody td:nth-child(4)")) == {"jpeg65"}


def test_keys_reach_every_number(page: Page):
    page.do("document.querySelector('#matrix-auroc .scroll').focus()")
    page.press("Tab")
    first = page.do("document.activeElement.dataset.c")
    page.press("ArrowRight")
    page.press("ArrowDown")
    assert page.do("document.activeElement.closest('td').cellIndex") == 2
    assert page.do("document.activeElement.dataset.c") != first
    page.press("Enter")
    assert visible(page, "#panel-title") == ["resnet18, trained on ldm"]
    page.press("Escape")
    page.press("Tab")
    assert page.do("document.activeElement.closest('#matrix-auroc') === null")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_in_both_themes(page: Page, scheme):
    page.prefer(prefers_color_scheme=scheme)
    page.click("#matrix-auroc button[data-c]")
    assert page.do(CONTRAST) == {}


def test_the_theme_follows_the_system_until_it_is_chosen(page: Page, report):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.do(ground)
    page.prefer(prefers_color_scheme="dark")
    dark = page.do(ground)
    assert light != dark
    # the page hears of it with the next frame, later than its style is computed
    wait_for(page, "document.querySelector('#the-theme').textContent === 'Light'")
    page.click("#the-theme")
    assert page.do(ground) == light
    end = time.monotonic() + 60
    page.open("about:blank")
    page.open(report)
    while page.do(ground) != light:  # Chromium hands a choice on to its next process in its own time
        assert time.monotonic() < end, "the choice is forgotten"
        page.open("about:blank")
        page.open(report)
    assert "none" not in page.do("getComputedStyle(document.documentElement).colorScheme")


def test_nothing_is_wider_than_a_phone(page: Page, report):
    page.open(report + "?phone", 375, 800)
    assert page.do("document.documentElement.scrollWidth") == 375
    assert page.do("document.querySelector('#the-contents').open") is False
    page.click("#matrix-auroc button[data-c]")
    assert page.do("document.documentElement.scrollWidth") == 375
    assert page.do("document.querySelector('#the-panel').getBoundingClientRect().width") == 375


def test_without_scripts_all_is_there(page: Page, report):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(report + "?plain")
        assert visible(page, "#the-filters") == visible(page, "#all-numbers") == []
        assert len(visible(page, "#matrix-auroc tbody tr")) == 8
        assert len(visible(page, ".card")) == 8
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


def test_names_are_never_run(page: Page, hostile):
    page.open(hostile)
    assert HOSTILE in visible(page, "#evil--title")
    assert HOSTILE in visible(page, ".card q")
    page.do("document.querySelector('#all-numbers').scrollIntoView()")
    wait_for(page, "document.querySelectorAll('#explore-table tbody tr').length > 0")
    page.do("document.querySelector('#explore-text').value = 'hacked'")
    page.do("document.querySelector('#explore-text').dispatchEvent(new Event('input'))")
    assert set(visible(page, "#explore-table tbody td:nth-child(4)")) == {HOSTILE}
    page.click("#explore-table tbody button")
    assert HOSTILE in visible(page, "#the-panel dd")
    assert page.do("typeof hacked") == "undefined"
    assert page.do("document.querySelectorAll('script').length") == 2
