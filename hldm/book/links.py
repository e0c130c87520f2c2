"""Links inside the built site: every page, file and anchor that a page names must be there."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class _Page(HTMLParser):
    """What a page links to, and the anchors it has."""

    links: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.update(filter(None, (attributes.get("id"), attributes.get("name"))))
        link = attributes.get("href") or attributes.get("src")
        if link and tag != "base":
            self.links.add(link)


def broken_links(site: Path) -> list[str]:
    """List links of a built site that lead nowhere inside it.

    Parameters
    ----------
    site : Path
        Folder of the HTML. Links to other hosts are not followed.

    Returns
    -------
    list of str
        ``"page: link"``.

    Raises
    ------
    RuntimeError
        If the folder holds no page.
    """
    pages = {path.resolve(): _read(path) for path in pages_of(site)}
    return [
        f"{path.relative_to(site.resolve()).as_posix()}: {link}"
        for path, page in pages.items()
        for link in sorted(page.links)
        if not _leads_somewhere(link, path, pages, site.resolve())
    ]


def pages_of(site: Path) -> list[Path]:
    """The pages of a built site, without the theme's templates among its static files.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    pages = [path for path in sorted(site.rglob("*.html")) if path.relative_to(site).parts[0] != "_static"]
    if not pages:
        raise RuntimeError(f"{site}: found no page, expected HTML")
    return pages


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _leads_somewhere(link: str, path: Path, pages: dict[Path, _Page], site: Path) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(site) or not target.exists():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or target not in pages or anchor in pages[target].anchors or anchor == "top"
