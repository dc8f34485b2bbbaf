"""What ``colcon build`` installs into a ROS workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


pytestmark = [pytest.mark.slow, pytest.mark.ros]


@pytest.fixture(scope="module")
def install(tmp_path_factory):
    """Build with colcon once; return the folder of the installation."""
    prefix, folder = Path(sys.prefix), tmp_path_factory.mktemp("workspace")
    subprocess.run(
        [
            str(prefix / "bin" / "colcon"), f"--log-base={folder / 'log'}",
            "build", "--merge-install", f"--build-base={folder / 'build'}",
            f"--install-base={folder / 'install'}", "--base-paths", str(ROOT), str(ROOT / "asyncvla_msgs"),
            "--packages-select", "asyncvla_ros",
        ],
        check=True,
        # The messages are those of this environment, and so is the python3 that colcon starts.
        env={
            **os.environ,
            "AMENT_PREFIX_PATH": str(prefix),
            "PATH": f"{prefix / 'bin'}:{os.environ['PATH']}",
        },
        cwd=folder,
    )  # fmt: skip
    return folder / "install"


def test_colcon_registers_the_package(install):
    assert (install / "share/ament_index/resource_index/packages/asyncvla_ros").is_file()


def test_colcon_installs_every_shared_file_and_checkpoint(install):
    share = install / "share" / "asyncvla_ros"
    package = next(install.glob("lib/python3*/site-packages/asyncvla_ros"))
    for directory, installed in {
        "config": share / "config",
        "launch": share / "launch",
        "asyncvla_ros/checkpoints": package / "checkpoints",
    }.items():
        assert relative_files(installed) == relative_files(ROOT / directory) != set()


def test_colcon_installs_the_nodes(install):
    nodes = {path.name for path in (install / "lib/asyncvla_ros").iterdir()}
    kinds = ("policy", "controller", "libero_sim", "visualizer", "recorder")
    assert nodes == {"asyncvla", *(f"{kind}_node" for kind in kinds)}


def relative_files(directory: Path) -> set[Path]:
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(directory) for path in files}
