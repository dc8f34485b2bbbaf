"""What docs/safety.md says about the shipped contracts is what ``asyncvla check`` says."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from asyncvla_ros.paths import share_dir
from asyncvla_ros.robot.listing import listings
from support.contracts import shipped_robot

PAGE = Path(__file__).parents[2] / "docs" / "safety.md"
ROBOTS = sorted(path.stem for path in (share_dir() / "config" / "robots").glob("*.yaml"))


@pytest.mark.parametrize("name", ROBOTS)
def test_the_table_of_stops_is_that_of_the_contracts(name):
    (table,) = [one for one in listings(shipped_robot(name)) if one.title.startswith("stops")]
    expected = []
    for (speed, hold_time, hold_way, time, way, _), rows in groupby(table.rows, key=lambda row: row[1:]):
        dofs = [row[0] for row in rows]
        names = f"`{dofs[0]}`" + (f" to `{dofs[-1]}`" if len(dofs) > 1 else "")
        expected.append(f"| `{name}` | {names} | {speed} | {hold_time}, {hold_way} | {time}, {way} |")
    assert [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}` |")] == expected
