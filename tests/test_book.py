"""The book executes, renders without a warning, and works in a browser with the network cut."""

import io
import shutil
import tarfile
import tomllib
import urllib.error
import urllib.request
from dataclasses import replace

import nbformat
import numpy as np
import pytest
import soundfile
import yaml
from plotly.offline import get_plotlyjs_version

from hldm.book import ChapterError, broken_links, build, check_site, execute, find_browser, vendor
from hldm.book.browser import DESKTOP, PHONE, look
from hldm.book.browser import open_browser as browser
from hldm.book.check import _code_too_wide, table
from hldm.book.media import take_out
from hldm.book.serve import served
from hldm.book.site import ROOT, render
from hldm.knowledge import knowledge_graph
from hldm.show import explore

CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
#: One process builds the book, and once.
pytestmark = pytest.mark.xdist_group("book")
needs_browser = pytest.mark.skipif(find_browser() is None, reason="no chromium with chromedriver on this machine")


@pytest.fixture(scope="session")
def output(tmp_path_factory):
    """The whole book, executed at `smoke` and rendered; once for all tests."""
    folder = tmp_path_factory.mktemp("book")
    build(folder, profile="smoke")
    return folder / "_build"


def notebook(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return set(cell.metadata.get("tags", []))


def write_notebook(path, *sources, output=None):
    cells = [nbformat.v4.new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    if output:
        cells[-1].outputs = [nbformat.v4.new_output("display_data", data=output)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


# The sources


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_comes_clean_with_parameters_and_an_install_cell_for_colab_only(path):
    cells = [cell for cell in notebook(path).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert [cell.source.strip() for cell in cells if "parameters" in tags(cell)] == ['profile = "smoke"']
    [install] = [cell for cell in cells if "install" in tags(cell)]
    assert "remove-cell" in tags(install)
    guard = install.source.index('if "google.colab" in sys.modules')
    assert all(install.source.index(word) > guard for word in ("clone", "pip install"))
    assert "torch" not in install.source


def test_the_repository_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    url = project["urls"]["Repository"]
    assert config["repository"]["url"] == url
    for path in CHAPTERS:
        assert all(url in cell.source for cell in notebook(path).cells if "install" in tags(cell))


# The execution


def test_every_chapter_is_executed_to_its_end(output):
    for path in CHAPTERS:
        cells = [cell for cell in notebook(output / "book" / path.name).cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in cells if cell.source.strip())


def test_what_the_execution_added_is_hidden_or_gone(output):
    for path in CHAPTERS:
        executed = notebook(output / "book" / path.name)
        [injected] = [cell for cell in executed.cells if "injected-parameters" in tags(cell)]
        assert "remove-input" in tags(injected)
        assert "papermill" not in executed.metadata
        assert not any("papermill" in cell.metadata for cell in executed.cells)
        assert "was executed with the profile `smoke`" in executed.cells[-1].source


def test_the_statistics_name_every_chapter_and_what_it_cost(output):
    page = (output / "book" / "statistics.md").read_text()
    rows = {line.split("|")[1].strip(): line.split("|")[2:4] for line in page.splitlines() if "ipynb" in line}
    assert set(rows) == {f"[](./{path.name})" for path in CHAPTERS}
    for seconds, memory in rows.values():
        assert 0 < float(seconds) < 600
        assert 0.05 < float(memory) < 16
    assert "torch" in page


def test_memory_counts_what_a_chapter_used(tmp_path):
    small = execute(write_notebook(tmp_path / "small.ipynb", "1"), tmp_path / "out.ipynb")
    filling = "block = bytearray(300_000_000)\nblock[::4096] = bytes(len(block[::4096]))\nimport time; time.sleep(1)"
    large = execute(write_notebook(tmp_path / "large.ipynb", filling), tmp_path / "out.ipynb")
    assert large.peak_bytes - small.peak_bytes == pytest.approx(300e6, rel=0.1)
    assert large.seconds > 1


def test_a_chapter_that_fails_is_named_with_its_traceback(tmp_path):
    path = write_notebook(tmp_path / "broken.ipynb", "1", "numbers = []\nnumbers[7]")
    with pytest.raises(ChapterError, match=r"(?s)broken\.ipynb: cell 4 failed.*numbers\[7\].*IndexError"):
        execute(path, tmp_path / "out.ipynb")


def test_a_chapter_gets_its_profile(tmp_path):
    path = write_notebook(tmp_path / "one.ipynb", "assert profile == 'laptop'")
    execute(path, tmp_path / "out.ipynb", profile="laptop")


# The site


def test_every_chapter_opens_in_colab(output):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    address = config["repository"]["url"].removeprefix("https://")
    for path in CHAPTERS:
        page = (output / "html" / "book" / f"{path.stem}.html").read_text()
        assert f"https://colab.research.google.com/{address.replace('.com', '')}/blob/main/book/{path.name}" in page


def test_links_inside_the_site_lead_somewhere(output):
    assert broken_links(output / "html") == []


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "b.html").write_text('<h1 id="top-of-b">b</h1>')
    links = ["b.html#top-of-b", "#here", "https://example.org/x", "missing.html", "b.html#nowhere", "../b.html"]
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "a.html").write_text(f'<p id="here">{anchors}</p>')
    assert broken_links(tmp_path) == ["a.html: ../b.html", "a.html: b.html#nowhere", "a.html: missing.html"]


def test_a_figure_that_would_be_missing_fails_the_build(output, tmp_path):
    shutil.copytree(output, tmp_path / "_build", ignore=shutil.ignore_patterns("html", ".doctrees"))
    plotly_only = {"application/vnd.plotly.v1+json": {"data": [], "layout": {}}}
    write_notebook(tmp_path / "_build" / "book" / CHAPTERS[0].name, "figure", output=plotly_only)
    with pytest.raises(RuntimeError, match="unknown output mime type"):
        render(tmp_path)


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [(None, 200, b"0123456789"), ("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=8-99", 206, b"89")],
)
def test_a_part_of_a_file_is_served_so_that_players_can_seek(tmp_path, asked, status, part):
    (tmp_path / "x.wav").write_bytes(b"0123456789")
    with served(tmp_path) as address:
        request = urllib.request.Request(f"{address}/x.wav", headers={"Range": asked} if asked else {})
        with urllib.request.urlopen(request) as answer:
            assert (answer.status, answer.read()) == (status, part)
        beyond = urllib.request.Request(f"{address}/x.wav", headers={"Range": "bytes=10-"})
        with pytest.raises(urllib.error.HTTPError, match="416"):
            urllib.request.urlopen(beyond)


def test_a_sound_or_picture_becomes_one_file_however_often_it_is_on_pages(tmp_path):
    (tmp_path / "book").mkdir()
    uri = '<audio src="data:audio/wav;base64,AAEC"></audio>'
    for page in (tmp_path / "a.html", tmp_path / "book" / "b.html"):
        page.write_text(f"<p>before</p>{uri}{uri}")
    take_out(tmp_path)
    [sound] = (tmp_path / "_media").iterdir()
    assert sound.read_bytes() == bytes([0, 1, 2])
    shown = f'<p>before</p>{2 * f"""<audio src="../_media/{sound.name}"></audio>"""}'
    assert (tmp_path / "book" / "b.html").read_text() == shown
    assert broken_links(tmp_path) == []


def test_the_script_of_plotly_is_of_the_release_that_makes_the_figures():
    [script] = [package for package in vendor.PACKAGES if package.name.startswith("plotly")]
    assert script.version == get_plotlyjs_version()


def test_an_archive_that_is_not_the_pinned_one_is_refused(tmp_path, monkeypatch):
    def fetch_something_else(*_, cwd):
        with tarfile.open(f"{cwd}/x.tgz", "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("package/es5/x.js"), io.BytesIO())

    monkeypatch.setenv("HLDM_CACHE", str(tmp_path))
    monkeypatch.setattr(vendor, "_npm", fetch_something_else)
    with pytest.raises(RuntimeError, match=r"mathjax 3.2.2: SHA-512 .* expected Bt\+SSVU8"):
        vendor.fetch_archives()
    assert not list(tmp_path.rglob("*.tgz"))


@needs_browser
def test_every_page_works_in_a_browser_with_the_network_cut(output):
    visits = check_site(output / "html", executed=output / "book")
    print(table(visits))
    assert not [visit for visit in visits if visit.problems], "\n".join(map(str, visits))


GRAPH = {
    "in the picture": """document.querySelector(".hldm-graph g[data-node]:has(> text)").dispatchEvent(
        new MouseEvent("click", {bubbles: true}));""",
    "in the menu": """const menu = document.querySelector(".hldm-graph select");
        menu.selectedIndex = 0; menu.dispatchEvent(new Event("change"));""",
}


@needs_browser
@pytest.mark.parametrize("view", [DESKTOP, PHONE], ids=str)
@pytest.mark.parametrize("how", GRAPH)
def test_a_click_in_the_graph_shows_a_neighbourhood_with_its_facts_and_their_sources(tmp_path, how, view):
    figure = explore(knowledge_graph(), start="vsd", title="The graph", alt="Two rings of dots.")
    head = '<!doctype html><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    (tmp_path / "graph.html").write_text(head + figure.data)
    read = """const text = (selector) => document.querySelector(selector).textContent;
        const lit = document.querySelectorAll(".hldm-graph g.hldm-on");
        return [text(".hldm-facts"), lit.length, document.querySelectorAll(".hldm-names text").length];"""
    with served(tmp_path) as address, browser() as driver:
        look(driver, view)
        driver.get(f"{address}/graph.html")
        before, _, _ = driver.execute_script(read)
        driver.execute_script(GRAPH[how])
        after, lit, names = driver.execute_script(read)
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    graph = knowledge_graph()
    assert "Ventricular septal defect (condition)" in before
    assert "30288003 (verified)" in before
    assert "Normal heart sounds without murmur (condition)" in after
    assert lit == 1 + len(set(graph.predecessors("normal")) | set(graph.successors("normal")))
    assert f"{graph.degree('normal')} facts" in after
    assert "outcome: Normal" in after
    assert "general knowledge" in after
    assert (names > 5) == (view == DESKTOP)  # a phone has them in the list only


@needs_browser
def test_a_reader_of_chapter_2_goes_from_neighbour_to_neighbour(output):
    read = "return document.querySelector('.hldm-facts > p b').textContent"
    with served(output / "html") as address, browser() as driver:
        driver.get(f"{address}/book/02_text.html")
        first = driver.execute_script(read)
        driver.execute_script("document.querySelector('.hldm-facts td button').click()")
        assert driver.execute_script(read) != first


# The check of the site finds what it is there to find

WIDGET = "application/vnd.jupyter.widget-view+json"
BROKEN = {
    "image-without-words": ('<img src="pixel.png">', "image: no alternative text"),
    "image-missing": ('<img src="none.png" alt="none">', "image: not drawn"),
    "request-404": ('<script src="none.js"></script>', "none.js answered 404"),
    "request-outside": (
        '<link rel="stylesheet" href="https://example.org/x.css">',
        "example.org/x.css leaves the site",
    ),
    "console-error": ("<script>undefined.x</script>", "console: "),
    "sound-slow": ('<audio aria-label="slow" src="slow.wav"></audio>', "sound: cannot be decoded"),
    "sound-unlabelled": ('<audio src="good.wav"></audio>', "sound: no label"),
    "sound-small": ('<audio aria-label="x" src="good.wav" data-small="slow.wav"></audio>', "sound: cannot be decoded"),
    "figure-undrawn": ('<div class="hldm-plotly" aria-label="a line"></div>', "figure: not drawn"),
    "figure-without-words": ('<div class="hldm-plotly"></div>', "figure: no alternative text"),
    "widget-undrawn": (f'<div><script type="{WIDGET}">{{}}</script></div>', "widget: not drawn"),
    "formula-raw": (r'<span class="math">\(x^2\)</span>', "formula: not set"),
    "output-empty": ('<div class="cell_output"></div>', "output: invisible"),
    "text-faint": (
        '<div class="hldm-player" style="background: #333"><figcaption style="color: #444">x</figcaption></div>',
        "contrast: ",
    ),
    "button-without-words": ("<button></button>", "axe: button-name (critical) of 1"),
    "key-refused": ("<button>a</button><button inert>b</button>", "keyboard: Tab does not reach <button inert"),
    "page-heavy": ('<script src="heavy.js"></script>', "weight: 3"),
    "page-wide": ('<main><p style="width: 3000px">wide</p></main>', "width: "),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """One page for each thing that can be wrong, and one where nothing is."""
    if find_browser() is None:
        pytest.skip("no chromium with chromedriver on this machine")
    site = tmp_path_factory.mktemp("broken")
    frame = '<!doctype html><html lang="en"><meta charset="utf-8"><title>x</title><link rel="icon" href="pixel.png">{}'
    sound = np.sin(np.arange(4000) / 10) / 2
    soundfile.write(site / "slow.wav", sound, 2000)
    soundfile.write(site / "good.wav", sound, 4000)
    from matplotlib.image import imsave

    imsave(site / "pixel.png", np.zeros((1, 1)))
    (site / "heavy.js").write_bytes(b"//" + np.random.default_rng(0).integers(48, 122, 4_200_000, np.uint8).tobytes())
    for name, (body, _) in BROKEN.items():
        (site / f"{name}.html").write_text(frame.format(body))
    good = '<img src="pixel.png" alt="a dot"><audio aria-label="tone" src="good.wav"></audio><h1>All is well</h1>'
    (site / "good.html").write_text(frame.format(good))
    visits = check_site(site, views=[replace(DESKTOP, width=390)], patience=1)
    return {page: [p for v in visits if v.page == f"{page}.html" for p in v.problems] for page in [*BROKEN, "good"]}


@pytest.mark.parametrize("page", BROKEN)
def test_the_check_finds(broken, page):
    assert any(BROKEN[page][1] in what for what in broken[page]), broken[page]


def test_the_check_finds_nothing_where_all_is_well(broken):
    assert broken["good"] == []


def test_the_check_finds_an_output_that_is_not_on_the_page(tmp_path):
    if find_browser() is None:
        pytest.skip("no chromium with chromedriver on this machine")
    site, executed = tmp_path / "html", tmp_path / "book"
    site.mkdir(), executed.mkdir()
    page = '<!doctype html><html lang="en"><title>x</title><link rel="icon" href="data:,"><h1>No output</h1>'
    (site / "one.html").write_text(page)
    write_notebook(executed / "one.ipynb", "1", output={"text/plain": "1"})
    [visit] = check_site(site, executed=executed, views=[DESKTOP])
    assert visit.problems == ["outputs: 0 on the page, 1 in the executed notebook"]


def test_code_that_is_cut_on_a_page_is_found(tmp_path):
    write_notebook(tmp_path / "one.ipynb", "x = 1" + " " * 73 + "#", "y = 2" + " " * 75 + "#")
    hidden = nbformat.read(tmp_path / "one.ipynb", as_version=4)
    hidden.cells.append(nbformat.v4.new_code_cell("z = 3" + " " * 90 + "#", metadata={"tags": ["hide-input"]}))
    nbformat.write(hidden, tmp_path / "one.ipynb")
    [problem] = _code_too_wide(tmp_path, "one.html")
    assert problem.startswith("code: 1 lines of more than 79 columns, such as y = 2")
