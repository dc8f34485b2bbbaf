from __future__ import annotations

from pathlib import Path

import positional

CODE = """
from elsewhere import Table, Row as Line
from asyncvla_ros.types import Box

class Box:
    pass

def run(*given):
    Table(1, 2, 3, 4, 5), Line(1, 2, 3, 4, 5), print(1, 2, 3, 4, 5)
    Box(1, 2, 3, 4), Box(*given, 2, 3, 4), run(1, 2, 3, 4, five=5)
    Box(1, 2, 3, 4, 5)
    given[0].run(1, *given, 2, 3, 4, 5)

class Table:
    pass
"""


def test_long_rows_of_arguments_to_own_code_are_found(tmp_path: Path):
    file = tmp_path / "code.py"
    file.write_text(CODE)
    assert positional.long_calls([file]) == [
        f"{file}:11: Box has 5 positional arguments",
        f"{file}:12: run has 5 positional arguments",
    ]


def test_this_package_has_none():
    assert positional.main() == 0
