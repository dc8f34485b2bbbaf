"""Build the documentation as a site: ``python tools/docs.py``, or ``make docs``.

Three steps: check links and commands of the pages; copy the pages to build/docs, with the reference made from
code; build build/site by MkDocs, which has its own environment in .cache.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from commands import CACHE, ROOT, SetupError, run
from doc_commands import wrong_commands
from doc_links import broken_links, linked_files
from doc_pages import pages
from doc_reference import reference_pages
from interpreters import find_uv

STAGING = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
LOCK = ROOT / "requirements-docs.txt"

#: Attributes of what a page loads; ordinary links are not loaded.
REMOTE = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=[\"']?https?://[^>]*>")


def main() -> int:
    """Check the pages and build the site; return the exit code."""
    problems = [*broken_links(ROOT), *wrong_commands(ROOT)]
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    try:
        stage(ROOT, STAGING)
        mkdocs = _mkdocs()
        run([str(mkdocs), "build", "--strict", "--clean", "--config-file", str(ROOT / "mkdocs.yml")], "docs")
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    if remote := remote_parts(SITE):
        print(*remote, sep="\n", file=sys.stderr)
        return 1
    count, site = sum(1 for _ in SITE.rglob("*.html")), SITE.relative_to(ROOT)
    print(f"{count} pages in {site}; with search: python3 -m http.server -d {site}")
    return 0


def stage(root: Path, target: Path) -> None:
    """Copy pages and the files they link to, and write the reference, with the checkout's folders."""
    shutil.rmtree(target, ignore_errors=True)
    sources = pages(root)
    linked = [file for page in sources for file in linked_files(root, page)]
    for file in {*sources, *(file for file in linked if file.is_file())}:
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    (target / "reference").mkdir()
    for name, text in reference_pages(root).items():
        (target / "reference" / name).write_text(text)


def remote_parts(site: Path) -> list[str]:
    """Return one line per script, style or picture that the site loads from another machine."""
    return [
        f"{page.relative_to(site)} fetches {found}"
        for page in sorted(site.rglob("*.html"))
        for found in REMOTE.findall(page.read_text())
    ]


def _mkdocs() -> Path:
    """Return MkDocs in its own environment, which is rebuilt when the lock has changed."""
    environment = CACHE / "docs"
    mkdocs, stamp = environment / "bin" / "mkdocs", environment / "requirements-docs.txt"
    # The location is part of the key, because scripts in the environment contain it.
    key = f"# {environment}\n{LOCK.read_text()}"
    if mkdocs.exists() and stamp.exists() and stamp.read_text() == key:
        return mkdocs
    uv = find_uv(CACHE, None)
    if uv is None:
        raise SetupError("uv was not found and could not be installed from PyPI; install it")
    run([str(uv), "venv", "--clear", "--python", sys.executable, str(environment)], "docs-venv")
    run([str(uv), "pip", "sync", "--python", str(environment / "bin" / "python"), str(LOCK)], "docs-packages")
    stamp.write_text(key)
    return mkdocs


if __name__ == "__main__":
    sys.exit(main())
