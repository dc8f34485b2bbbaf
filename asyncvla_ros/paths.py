"""Paths of shipped files, in a checkout and in an installed ROS workspace alike."""

from __future__ import annotations

from pathlib import Path

from asyncvla_ros.types import AsyncVLAError

PACKAGE = Path(__file__).resolve().parent
DEFAULT_CHECKPOINT = "nano_libero"


def share_dir() -> Path:
    """Return the directory with ``config`` and ``launch``.

    Raises:
        AsyncVLAError: This is neither a checkout nor an installed package of a sourced ROS workspace.
    """
    if (PACKAGE.parent / "package.xml").is_file():
        return PACKAGE.parent
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory(PACKAGE.name))
    except (PackageNotFoundError, LookupError) as error:
        raise AsyncVLAError(
            f"no share directory of {PACKAGE.name}: {PACKAGE.parent} is no checkout (no package.xml), and no "
            "sourced ROS workspace contains the package; source install/setup.bash of the workspace"
        ) from error


def shipped_checkpoint() -> Path:
    """Return the default checkpoint."""
    return PACKAGE / "checkpoints" / DEFAULT_CHECKPOINT


def robot_file(name_or_path: str | Path) -> Path:
    """Return the robot contract with a name in ``config/robots``, or the file at a path.

    Args:
        name_or_path: Name such as ``libero_panda``, or a path that ends with ``.yaml``.

    Raises:
        AsyncVLAError: The file is missing; the message lists the shipped robots.
    """
    robots = share_dir() / "config" / "robots"
    is_path = Path(name_or_path).suffix in (".yaml", ".yml")
    path = Path(name_or_path).expanduser() if is_path else robots / f"{name_or_path}.yaml"
    if path.is_file():
        return path
    local = Path(f"{name_or_path}.yaml")
    hint = f"; {local} is here: give it with its .yaml" if not is_path and local.is_file() else ""
    choices = ", ".join(sorted(robot.stem for robot in robots.glob("*.yaml"))) or "none"
    raise AsyncVLAError(
        f"no robot contract {str(name_or_path)!r}: expected the path of a .yaml file or one of the robots in "
        f"{robots}: {choices}{hint}"
    )
