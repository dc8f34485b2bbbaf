"""Settings that are declared once: a field has its default, its help and its bounds.

The command line and the files of ``--config`` follow from the fields of a settings class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, field
from pathlib import Path
from typing import Any

from asyncvla_ros.common.shard import Shard
from asyncvla_ros.common.worker_pool import CPUS

#: Of torch, in each process: a small network gains nothing from more, and loses much on a busy machine.
THREADS = 1
#: Keys in the metadata of a field.
HELP, MINIMUM, MAXIMUM, CHOICES, FLAG = "help", "minimum", "maximum", "choices", "flag"
READ, WRITTEN = "read", "written"
FORMER, FORMER_CHOICES = "former", "former_choices"


def option(
    default: Any = MISSING,
    help: str = "",
    minimum: float | None = None,
    *,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    flag: str | None = None,
    read: Callable[[Any], Any] | None = None,
    kw_only: bool = False,
    former: str | None = None,
    former_choices: Mapping[str, str] | None = None,
) -> Any:
    """Declare a field of a settings class.

    Args:
        default: Default; without one the setting is required.
        help: One sentence for the command line.
        minimum: The least that a number may be.
        maximum: The most that a number may be.
        choices: What a text may be.
        flag: Name on the command line, if not made from the field's.
        read: Makes the value of what is written on the command line, such as ``0-9``; the default is written
            in the same way, and a tuple of texts is an option that may be repeated.
        kw_only: Given by name, so that it may be required after fields that are not.
        former: Retired name of the field, which is still read.
        former_choices: Choice by its retired name, which is still read.
    """
    metadata = {
        HELP: help,
        MINIMUM: minimum,
        MAXIMUM: maximum,
        CHOICES: choices,
        FLAG: flag,
        READ: read,
        WRITTEN: default,
        FORMER: former,
        FORMER_CHOICES: former_choices or {},
    }
    value = default if read is None or default is MISSING else read(default)
    return field(default=value, metadata=metadata, kw_only=kw_only)


def seed_option() -> Any:
    """Declare the seed of everything random."""
    return option(0, "Seed of everything random.", 0)


def checkpoint_option() -> Any:
    """Declare the policy; None is the one that ships."""
    return option(None, "Checkpoint folder; default: the shipped one.")


def device_option() -> Any:
    """Declare the device of a network."""
    return option("cpu", "torch device, such as cpu or cuda.")


def threads_option() -> Any:
    """Declare how many CPU threads compute."""
    return option(THREADS, "CPU threads of an inference; the shipped policy is fastest with 1.", 1)


def action_space_option() -> Any:
    """Declare the action space of datasets that do not name theirs."""
    return option("delta_ee_pose", "delta_ee_pose, ee_pose, joint_position or delta_joint_position.")


def processes_option() -> Any:
    """Declare how many processes train."""
    return option(0, "Data-parallel processes here; 0: one per GPU, or per CPU.", 0)


def simulators_option() -> Any:
    """Declare how many processes simulate."""
    return option(CPUS, "Processes, each with a simulator.", 1)


def shard_option() -> Any:
    """Declare the share of the work that is done here."""
    return option("1/1", "Share I/N of the work, such as 2/8; the others run elsewhere.", read=Shard.parse)


def cache_option() -> Any:
    """Declare the folder of what is derived from datasets."""
    return option(Path(".cache/frames"), "Folder of what is derived from datasets, such as decoded images.")


def decode_option(default: str) -> Any:
    """Declare when the images of a dataset are decoded."""
    return option(
        default,
        "Images: ahead (all once, into the cache) or stream (when needed).",
        choices=("ahead", "stream"),
    )


def skip_broken_option() -> Any:
    """Declare whether episodes with states or actions that are no numbers are left out."""
    return option(False, "Leave out episodes whose states or actions are no numbers.")


def unseen_option() -> Any:
    """Declare whether the data is new to the policy."""
    return option(False, "The data did not train the policy: use all of it.", former="fresh")


def n_action_steps_option() -> Any:
    """Declare how many actions of a chunk are executed."""
    return option(None, "Actions executed of each chunk.", former="execute_steps")
