"""Read Markdown pages as GitHub renders them: links, anchors, code blocks and inline code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Block:
    """A fenced block of code; ``line`` is the number of its first line of code, from 1."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """Parts of a page to check; ``code`` is inline code with the line of its paragraph."""

    links: tuple[tuple[str, int], ...]
    anchors: frozenset[str]
    blocks: tuple[Block, ...]
    code: tuple[tuple[str, int], ...]


def pages(root: Path) -> list[Path]:
    """Return all pages for people: README.md, docs/, and the model cards of shipped checkpoints."""
    found = [root / "README.md", *(root / "docs").rglob("*.md")]
    found += (root / "asyncvla_ros" / "checkpoints").rglob("*.md")
    return sorted(found)


def read_page(text: str) -> Page:
    """Parse a Markdown page."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    blocks = [
        Block(token.info.strip(), token.content, token.map[0] + 2)
        for token in tokens
        if token.type == "fence" and token.map
    ]
    inline = list(_inline(tokens))
    links = [
        (str(token.attrs["href" if token.type == "link_open" else "src"]), line)
        for token, line in inline
        if token.type in ("link_open", "image")
    ]
    code = [(token.content, line) for token, line in inline if token.type == "code_inline"]
    return Page(tuple(links), frozenset(_anchors(tokens)), tuple(blocks), tuple(code))


def _inline(tokens: list[Token]) -> Iterator[tuple[Token, int]]:
    """Yield the content of paragraphs, headings and cells, with the line where it begins."""
    line = 1
    for token in tokens:
        if token.map:
            line = token.map[0] + 1
        for child in token.children or ():
            yield child, line


def _anchors(tokens: list[Token]) -> Iterator[str]:
    """Return GitHub's anchors of headings: lower case, no punctuation, "-" for each space."""
    seen: dict[str, int] = {}
    for opening, heading in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in heading.children or ())
        slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        yield f"{slug}-{count}" if count else slug
