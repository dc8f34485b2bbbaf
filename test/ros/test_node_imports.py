"""A node on a robot's computer holds no more in memory than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("node", ["controller", "recorder", "visualizer"])
def test_only_the_policy_loads_a_network(node: str) -> None:
    """PyTorch and transformers take 800 MB and seconds to start."""
    listed = f"import sys, asyncvla_ros.ros.{node}_node, asyncvla_ros.ros.{node}.node; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", listed], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "onnxruntime"} & set(loaded)
