"""Options that commands about LIBERO share, as fields of their settings."""

from __future__ import annotations

from functools import partial
from typing import Any

from asyncvla_ros.common.options import option
from asyncvla_ros.common.written import indices, indices_or_all


def suite_option() -> Any:
    """Declare the suite."""
    return option("libero_object", "LIBERO suite.")


def tasks_option() -> Any:
    """Declare the indices of tasks; empty means all, see ``tasks.task_indices``."""
    return option(
        "all", "Task indices such as 0,1 or 0-4, or all.", read=partial(indices_or_all, what="tasks")
    )


def inits_option(default: str) -> Any:
    """Declare the initial states of a task."""
    return option(default, "Official initial states such as 0-9.", read=partial(indices, what="inits"))


def placement_option(default: str) -> Any:
    """Make the option that says where objects stand, see ``placement``."""
    return option(
        default, "Of the objects: official, widened, exchanged (places swapped) or free (anywhere)."
    )


def rendering_option(default: str) -> Any:
    """Make the option that says which meshes are rendered."""
    return option(default, "full (official) or decimated meshes (fast).", flag="--rendering")
