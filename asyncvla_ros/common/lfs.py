"""Pointers of Git LFS: small texts in place of weights, videos and tables that were not fetched."""

from __future__ import annotations

from pathlib import Path

_BEGIN = b"version https://git-lfs.github.com/spec/"


def lfs_remedy(file: Path) -> str:
    """Return advice for a file that is only a pointer of Git LFS; an empty text for other files."""
    try:
        with file.open("rb") as opened:
            is_pointer = opened.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return ""
    return "; it is a pointer of Git LFS: fetch the file itself with `git lfs pull`" if is_pointer else ""
