from __future__ import annotations

import pytest

from lengths import FILE_LINES, FUNCTION_LINES, long_code

DOCUMENTED = 'def f():\n    """Do it.\n\n    {words}\n    """\n{code}'


def _function(code: int, words: int = 1) -> str:
    return DOCUMENTED.format(words="and so on\n" * words, code="    f()\n" * code)


@pytest.mark.parametrize(
    "text",
    [_function(FUNCTION_LINES, words=80), "x = 0\n" * FILE_LINES, 'def f():\n    """Do nothing."""\n'],
    ids=["longest function, and a manual", "longest file", "no code"],
)
def test_what_has_just_the_length_is_accepted(tmp_path, text):
    (tmp_path / "code.py").write_text(text)
    assert long_code(tmp_path, (".",)) == []


def test_longer_functions_and_files_are_named(tmp_path):
    (tmp_path / "code.py").write_text("\n" + _function(FUNCTION_LINES + 1))
    (tmp_path / "long.py").write_text("x = 0\n" * (FILE_LINES + 1))
    assert long_code(tmp_path, (".",)) == [
        "code.py:2: f has 61 lines of code; a function has 60 at most",
        "long.py: 301 lines; a file has 300 at most",
    ]
