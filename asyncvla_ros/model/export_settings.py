"""Settings of an export; apart, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import n_action_steps_option, option


@dataclass(frozen=True)
class ExportSettings:
    """What to copy, and what its defaults are.

    Attributes:
        checkpoint: Folder to read.
        out: Folder to write.
        n_action_steps: Actions executed of each chunk; None keeps the number.
        robot: Of a policy for several robots, the one that the copy is for.
        onnx: Whether to write graphs for ONNX Runtime.
    """

    checkpoint: Path = option(help="Checkpoint folder to read.")
    out: Path = option(help="Checkpoint folder to write.")
    n_action_steps: int | None = n_action_steps_option()
    robot: str | None = option(None, "Of a policy for several robots, the one that the copy is for.")
    onnx: bool = option(True, "Write graphs for ONNX Runtime beside the weights of a small network.")
