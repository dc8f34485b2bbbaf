"""What ``colcon build`` installs into a ROS workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.ros
def test_colcon_installs_share_checkpoints_and_nodes(tmp_path):
    prefix = Path(sys.prefix)
    subprocess.run(
        [
            str(prefix / "bin" / "colcon"), f"--log-base={tmp_path / 'log'}",
            "build", "--merge-install", f"--build-base={tmp_path / 'build'}",
            f"--install-base={tmp_path / 'install'}", "--base-paths", str(ROOT), str(ROOT / "asyncvla_msgs"),
            "--packages-select", "asyncvla_ros",
        ],
        check=True,
        # The messages are those of this environment, and so is the python3 that colcon starts.
        env={
            **os.environ,
            "AMENT_PREFIX_PATH": str(prefix),
            "PATH": f"{prefix / 'bin'}:{os.environ['PATH']}",
        },
        cwd=tmp_path,
    )  # fmt: skip
    install = tmp_path / "install"
    share = install / "share" / "asyncvla_ros"
    package = next(install.glob("lib/python3*/site-packages/asyncvla_ros"))
    assert (install / "share/ament_index/resource_index/packages/asyncvla_ros").is_file()
    for directory, installed in {
        "config": share / "config",
        "launch": share / "launch",
        "asyncvla_ros/checkpoints": package / "checkpoints",
    }.items():
        assert relative_files(installed) == relative_files(ROOT / directory) != set()
    nodes = {path.name for path in (install / "lib/asyncvla_ros").iterdir()}
    kinds = ("policy", "controller", "libero_sim", "visualizer", "recorder")
    assert nodes == {"asyncvla", *(f"{kind}_node" for kind in kinds)}


def relative_files(directory: Path) -> set[Path]:
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(directory) for path in files}
