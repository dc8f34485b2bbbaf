"""Write reference pages from code: commands, node parameters, messages and contracts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from asyncvla_ros.cli.main import app
from asyncvla_ros.model import checkpoint
from asyncvla_ros.ros.controller.parameters import ControllerParameters
from asyncvla_ros.ros.libero_sim.parameters import SimParameters
from asyncvla_ros.ros.parameters import Declaration, declarations
from asyncvla_ros.ros.policy.parameters import PolicyParameters
from asyncvla_ros.ros.recorder.parameters import RecorderParameters
from asyncvla_ros.ros.visualizer.parameters import VisualizerParameters

#: Parameters of each node, by executable.
NODES: dict[str, type] = {
    "policy_node": PolicyParameters,
    "controller_node": ControllerParameters,
    "visualizer_node": VisualizerParameters,
    "recorder_node": RecorderParameters,
    "libero_sim_node": SimParameters,
}


def reference_pages(root: Path) -> dict[str, str]:
    """Generate all reference pages, by file name.

    Args:
        root: The checkout.
    """
    kinds = ("msg", "srv", "action")
    messages = [path for kind in kinds for path in (root / "asyncvla_msgs").rglob(f"*.{kind}")]
    contracts = (root / "config" / "robots").glob("*.yaml")
    return {
        "cli.md": cli_page(typer.main.get_command(app), "asyncvla"),
        "parameters.md": parameter_page(NODES),
        "files.md": files_page(),
        "messages.md": source_page(
            "Messages, services, actions", "The definitions in `asyncvla_msgs`.", sorted(messages), "text"
        ),
        "contracts.md": source_page(
            "Robot contracts",
            "The contracts that ship, with the sources of their numbers. What a key means: "
            "[Robot contract](../docs/ros-interface.md#robot-contract).",
            sorted(contracts),
            "yaml",
        ),
    }


def cli_page(command: Any, name: str) -> str:
    """Describe every command of a typer app with its arguments and options, like ``--help``."""
    parts = [
        f"# The command line: {name}",
        "What `--help` says, made from the code. Exit codes: 0 done, 1 failed run, 2 bad usage, 130 after "
        "Ctrl-C. A default that depends on the machine, such as that of `--workers`, is that of the one "
        "that made this page. A file for `--config` has the options by name, with `_` for each `-`.",
    ]
    for context in _leaves(typer.Context(command, info_name=name)):
        usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
        parts += [
            f"## {context.command_path}",
            _markdown(context.command.help or ""),
            f"```\n{usage}\n```",
            *_option_tables(context),
        ]
    return "\n\n".join(parts) + "\n"


def parameter_page(nodes: dict[str, type]) -> str:
    """Write a table of parameters for each node."""
    parts = [
        "# Node parameters",
        "What `ros2 param describe` says, made from the code. *Fixed* parameters are set at the start, the "
        "others at any time. How they work together: [The ROS 2 interface](../docs/ros-interface.md).",
    ]
    for executable, kind in nodes.items():
        rows = [_row(name, declaration) for name, declaration in declarations(kind).items()]
        parts += [f"## {executable}", _table(("Parameter", "Default", "Permitted", "Fixed", ""), rows)]
    return "\n\n".join(parts) + "\n"


def files_page() -> str:
    """Describe the files of a checkpoint, and link to the descriptions of other formats."""
    return f"""# Files

## Checkpoint

```text
{(checkpoint.__doc__ or "").replace("``", "`").rstrip()}
```

## Others

| file | described in |
| --- | --- |
| contract of a robot | [keys](../docs/ros-interface.md#robot-contract), [the ones that ship](contracts.md) |
| datasets, `data.yaml` | [Data for training](../docs/data.md) |
| recorded episodes, reports of replay | [Recordings](../docs/bags.md) |
| JSON of evaluations | [Late answers and moving worlds](../docs/evaluation.md#what-is-kept) |
| `--config` of `train` and `train-rater` | [their options](cli.md#asyncvla-train) |
"""


def source_page(title: str, text: str, files: Iterable[Path], language: str) -> str:
    """Write a page with the text of files."""
    parts = [f"# {title}", text]
    for file in files:
        parts += [f"## {file.name}", f"````{language}\n{file.read_text().rstrip()}\n````"]
    return "\n\n".join(parts) + "\n"


def _leaves(context: Any) -> Iterator[Any]:
    subcommands = getattr(context.command, "commands", None)
    if subcommands is None:
        yield context
        return
    for name in sorted(subcommands):
        yield from _leaves(typer.Context(subcommands[name], info_name=name, parent=context))


def _option_tables(context: Any) -> Iterator[str]:
    """Write a table for each heading of options in ``--help``."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in context.command.params:
        record = None if getattr(parameter, "hidden", False) else parameter.get_help_record(context)
        if record is not None:
            name, text = record
            panel = getattr(parameter, "rich_help_panel", None) or ""
            panels.setdefault(panel, []).append((f"`{name}`", _markdown(text)))
    for panel, rows in panels.items():
        if panel:
            yield f"**{panel}**"
        yield _table(("Option", ""), rows)


def _row(name: str, declaration: Declaration) -> tuple[str, ...]:
    value = declaration.default
    default = '""' if value == "" else str(value).lower() if isinstance(value, bool) else str(value)
    fixed = "yes" if declaration.read_only else ""
    return (f"`{name}`", f"`{default}`", _permitted(declaration), fixed, declaration.description)


def _permitted(declaration: Declaration) -> str:
    if declaration.choices:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in declaration.choices)
    if declaration.minimum is not None and declaration.maximum is not None:
        return f"{declaration.minimum} to {declaration.maximum}"
    return "a topic" if declaration.is_topic else ""


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _markdown(text: str) -> str:
    """Convert help to Markdown: escape HTML, and halve the double backticks of reStructuredText."""
    return " ".join(text.split()).replace("``", "`").replace("<", "&lt;").replace("*", "\\*")
