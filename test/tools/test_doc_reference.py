from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer

import docs
from asyncvla_ros.ros.parameters import declarations, parameter
from doc_reference import NODES, cli_page, parameter_page, reference_pages

ROOT = Path(__file__).parents[2]
TABLE = r"^\| Parameter \| Default \| \|\n\|.*\n((?:\|.*\n)+)"
INTERFACE = (ROOT / "docs" / "ros-interface.md").read_text()


def test_commands_have_their_options_by_heading():
    app, group = typer.Typer(), typer.Typer()

    @group.command()
    def one(
        file: Annotated[Path, typer.Argument(help="What is read.")],
        size: Annotated[int, typer.Option(min=1, help="Of <it>, a|b.", rich_help_panel="Sizes")] = 3,
        *,
        hidden: Annotated[bool, typer.Option(hidden=True)] = False,
    ) -> None:
        """Do ``one`` thing."""

    app.add_typer(group, name="group")
    app.command("two")(lambda: None)
    page = cli_page(typer.main.get_command(app), "tool")
    assert re.findall("^## (.*)$", page, re.MULTILINE) == ["tool group one", "tool two"]
    assert "Do `one` thing." in page and "hidden" not in page
    assert "What is read. [required] |\n\n**Sizes**\n" in page
    assert "| Of &lt;it>, a\\|b. [default: 3; x>=1] |" in page


def test_parameters_have_default_and_what_is_permitted():
    @dataclass(frozen=True)
    class Some:
        size: int = parameter(3, "Of it", minimum=1, maximum=4)
        kind: str = parameter("", "Of it", choices=("", "a"), read_only=True)
        on: bool = parameter(True, "Or off")

    rows = parameter_page({"some_node": Some}).splitlines()[-3:]
    assert rows == [
        "| `size` | `3` | 1 to 4 |  | Of it |",
        '| `kind` | `""` | empty, `a` | yes | Of it |',
        "| `on` | `true` |  |  | Or off |",
    ]


def test_every_node_is_there():
    entry_points = re.findall(r'"(\w+_node) = ', (ROOT / "setup.py").read_text())
    assert set(entry_points) == set(NODES)


def hand_written() -> list[tuple[str, list[str], list[str]]]:
    """Node, names and defaults of each row of the tables of parameters in docs/ros-interface.md."""
    rows = []
    for section in re.split(r"^### ", INTERFACE, flags=re.MULTILINE)[1:]:
        node = re.match(r"\w+ \(`(\w+)`\)", section)
        for table in re.findall(
            r"^\| Parameter \| Default \| \|\n\|.*\n((?:\|.*\n)+)", section, re.MULTILINE
        ):
            for row in table.splitlines():
                names, defaults, _ = (cell.strip() for cell in re.split(r"(?<!\\)\|", row[1:])[:3])
                values = defaults.replace("`", "").replace('"', "").split(", ")
                rows.append((node[1], re.findall(r"`(\w+)`", names), values))
    return rows


@pytest.mark.parametrize("node", [node for node in NODES if node != "libero_sim_node"])
def test_the_tables_of_the_interface_page_say_what_the_code_says(node):
    declared = declarations(NODES[node])
    rows = [(names, values) for name, names, values in hand_written() if name == node]
    assert [name for names, _ in rows for name in names] != []
    assert {name for names, _ in rows for name in names} == set(declared)
    for names, values in rows:
        for name, value in zip(names, values * (len(names) if len(values) == 1 else 1), strict=True):
            default = declared[name].default
            same = value.lower() == str(default).lower() or (
                isinstance(default, float) and float(value) == default
            )
            assert same or value == "", f"{name}: {value} on the page, {default} in the code"


def test_the_site_gets_pages_what_they_link_to_and_the_reference(tmp_path):
    docs.stage(ROOT, tmp_path)
    for file in ("README.md", "docs/demo.gif", "asyncvla_ros/serve/client.py", "reference/contracts.md"):
        assert (tmp_path / file).is_file(), file
    assert "## ur5e.yaml" in (tmp_path / "reference" / "contracts.md").read_text()
    assert set(reference_pages(ROOT)) == {path.name for path in (tmp_path / "reference").iterdir()}
    listed = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert set(listed) == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")}


def test_what_a_page_fetches_from_elsewhere_is_named(tmp_path):
    (tmp_path / "good.html").write_text('<a href="https://a.com">a</a><script src="own.js"></script>')
    assert docs.remote_parts(tmp_path) == []
    (tmp_path / "bad.html").write_text('<link rel="stylesheet" href="https://fonts.example.com/css">')
    (line,) = docs.remote_parts(tmp_path)
    assert line.startswith("bad.html fetches ") and "fonts.example.com" in line
