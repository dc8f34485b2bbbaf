"""Find broken links and pictures of pages; links out of the checkout are not followed."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from doc_pages import pages, read_page


def linked_files(root: Path, page: Path) -> list[Path]:
    """Return the files of the checkout to which a page links, whether they exist or not."""
    links = (urlsplit(link) for link, _ in read_page(page.read_text()).links)
    return [_target(page, link.path) for link in links if not link.scheme and link.path]


def broken_links(root: Path) -> list[str]:
    """Return one line per link to a missing file or heading, or out of the checkout."""
    problems = []
    for page in pages(root):
        for link, line in read_page(page.read_text()).links:
            problem = _problem(root, page, link)
            if problem:
                problems.append(f"{page.relative_to(root)}:{line}: link {link}: {problem}")
    return problems


def _problem(root: Path, page: Path, link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme in ("http", "https", "mailto"):
        return ""
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        return "expected a path relative to the page, or an address that begins with https:"
    target = _target(page, parts.path)
    if not target.is_relative_to(root):
        return "leads out of the checkout"
    if not target.exists():
        return f"there is no {target.relative_to(root)}"
    if not parts.fragment:
        return ""
    if target.suffix != ".md":
        return f"{target.relative_to(root)} is no page, so it has no headings"
    anchors = read_page(target.read_text()).anchors
    if unquote(parts.fragment) in anchors:
        return ""
    return f"no such heading in {target.relative_to(root)}; it has {', '.join(sorted(anchors))}"


def _target(page: Path, path: str) -> Path:
    return (page.parent / unquote(path)).resolve() if path else page
