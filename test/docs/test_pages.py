"""Every link of the pages leads somewhere, and every command that they show can be meant so."""

from __future__ import annotations

from pathlib import Path

from doc_commands import wrong_commands
from doc_links import broken_links
from doc_pages import pages, read_page

ROOT = Path(__file__).parents[2]


def test_every_link_and_anchor_leads_somewhere():
    assert broken_links(ROOT) == []


def test_every_command_names_what_exists():
    assert wrong_commands(ROOT) == []


def test_pages_are_read():
    read = [read_page(path.read_text()) for path in pages(ROOT)]
    commands = [text for page in read for text, _ in page.code if text.startswith("asyncvla ")]
    assert len(read) > 20 and len(commands) > 50 and sum(len(page.links) for page in read) > 80
