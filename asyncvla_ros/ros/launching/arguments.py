"""Arguments that several launch files have, each declared once."""

from __future__ import annotations

from launch import SomeSubstitutionsType
from launch.actions import DeclareLaunchArgument

from asyncvla_ros.ros.launching.values import shipped

#: Default and description; an argument without a default must be given.
SHARED: dict[str, tuple[SomeSubstitutionsType | None, str]] = {
    "robot": (None, "Its contract: name or .yaml, see asyncvla check"),
    "checkpoint": ("", "Folder; empty: shipped"),
    "device": ("cpu", "torch device, such as cuda:0"),
    "instruction": ("", "Empty: wait for a task"),
    "namespace": ("", "One per robot"),
    "use_sim_time": ("false", "Follow /clock"),
    "params_file": (shipped("config", "policy.yaml"), "Tuning"),
    "autostart": ("true", "Configure and activate"),
    "rviz": ("false", "Start rviz2, too"),
    "record": ("false", "Record episodes, too"),
    "record_dir": ("episodes", "Receives a folder for each episode"),
}


def shared(*names: str) -> list[DeclareLaunchArgument]:
    """Declare these arguments, with the default and description that all launch files share."""
    return [argument(name, *SHARED[name]) for name in names]


def argument(name: str, default: SomeSubstitutionsType | None, description: str) -> DeclareLaunchArgument:
    """Declare an argument; without a default, the user must give it."""
    return DeclareLaunchArgument(name, default_value=default, description=description)


def fixed(name: str, text: str, why: str) -> DeclareLaunchArgument:
    """Fix an argument of an included file: ``text`` is its only choice, ``why`` its description."""
    return DeclareLaunchArgument(name, default_value=text, choices=[text], description=f"Fixed: {why}")
