"""Files that Git LFS has not fetched: small texts in the place of weights, videos and tables."""

from __future__ import annotations

from pathlib import Path

_BEGIN = b"version https://git-lfs.github.com/spec/"


def lfs_remedy(file: Path) -> str:
    """What to do about a file that is only a pointer of Git LFS; an empty text if it is none."""
    try:
        with file.open("rb") as opened:
            is_pointer = opened.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return ""
    return "; it is a pointer of Git LFS: fetch the file itself with `git lfs pull`" if is_pointer else ""
