from __future__ import annotations

from pathlib import Path

import pytest
import rclpy

from asyncvla_ros.ros import processes

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("value", ["7", "on", "1e3", "my run #3", "~/é: x", Path("a b"), "", 7, 0.5, True])
def test_a_value_keeps_its_type_on_the_way_to_a_node(monkeypatch, tmp_path, value):
    started = []
    monkeypatch.setattr(processes.subprocess, "Popen", lambda command, **_: started.append(command))
    processes.NodeProcesses(tmp_path, {}).start("node", "nothing", [], {"folder": value})
    rclpy.init(args=started[0][started[0].index("--ros-args") :])
    node = rclpy.create_node("node", automatically_declare_parameters_from_overrides=True)
    found = node.get_parameter("folder").value
    node.destroy_node()
    rclpy.shutdown()
    assert found == (str(value) if isinstance(value, Path) else value) and type(found) in (type(value), str)
