"""Our messages and camera images cross processes; images with the shipped Fast DDS profile."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from asyncvla_ros.ros import middleware
from asyncvla_ros.ros.bench.stack import StackSettings, bench_stack
from asyncvla_ros.ros.bench.transport import TransportSettings, bench_transport
from asyncvla_ros.ros.domain import free_domain
from asyncvla_ros.ros.middleware import fastdds_environment, fastdds_profile

pytestmark = pytest.mark.ros

PUBLISH_CHUNK = """
import rclpy, sys
from asyncvla_msgs.msg import ActionChunk
rclpy.init()
node = rclpy.create_node("chunk_source")
publisher = node.create_publisher(ActionChunk, "action_chunk", 1)
chunk = ActionChunk(chunk_id=7, dof_names=["dx"], actions=[0.5, -0.5], refined=[True, False])
node.create_timer(0.1, lambda: publisher.publish(chunk))
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    pass
"""


def test_a_custom_message_crosses_processes(start_process, ros_client):
    from asyncvla_msgs.msg import ActionChunk

    inbox = ros_client.subscribe(ActionChunk, "action_chunk", 1)
    start_process("-c", PUBLISH_CHUNK)
    chunk = inbox.wait()
    assert (chunk.chunk_id, list(chunk.actions), list(chunk.refined)) == (7, [0.5, -0.5], [True, False])


@pytest.mark.parametrize(("width", "height", "transport"), [(640, 480, "raw"), (1280, 720, "compressed")])
def test_images_arrive_with_the_shipped_profile(width, height, transport):
    if not fastdds_environment(processes=2):
        pytest.skip("/dev/shm has no room for the segments of two processes")
    metrics = bench_transport(TransportSettings(width, height, hz=30.0, seconds=1.0, transport=transport))
    # Best-effort delivery may lose a frame on a loaded machine; raw images without the profile nearly all.
    assert metrics["profile"]["sent"] == 60
    assert metrics["profile"]["received"] >= 54
    assert 0 < metrics["profile"]["p50_ms"] <= metrics["profile"]["p99_ms"]


def test_the_stack_is_timed_stage_by_stage():
    metrics = bench_stack(StackSettings(seconds=2.0))
    assert metrics["chunks"] >= 60 and metrics["commands"] > metrics["chunks"]
    medians = [metrics[f"camera_to_{stage}_ms"]["p50"] for stage in ("observation", "chunk", "command")]
    assert 0 < medians[0] < medians[1] < medians[2]
    assert metrics["control_jitter_ms"]["p50"] >= 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_node_leaves_no_shared_memory_behind(start_node, ros_client, end):
    node = start_node("policy_node")
    assert ros_client.state("policy") == "unconfigured"
    opened = [path.readlink() for path in Path(f"/proc/{node.process.pid}/fd").iterdir()]
    own = [path for path in opened if re.fullmatch(r"fastdds_[0-9a-f]{16}_el", path.name)]
    assert own, "it has locked its segment while it runs"
    getattr(node, end)()
    if end == "kill":
        middleware.remove_dead_segments()
    assert not [path for path in own if path.exists()]


def test_only_segments_of_the_dead_are_freed(tmp_path, monkeypatch):
    monkeypatch.setattr(middleware, "SHARED_MEMORY", tmp_path)
    living, dead = "fastdds_0123456789abcdef", "fastdds_fedcba9876543210"
    for name in (living, f"{living}_el", dead, f"{dead}_el", "fastdds_port7000", "fastdds_port7000_el"):
        (tmp_path / name).touch()
    with (tmp_path / f"{living}_el").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert middleware.remove_dead_segments() == 1
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {living, f"{living}_el", "fastdds_port7000", "fastdds_port7000_el"}


def test_the_profile_is_used_only_where_its_segments_fit():
    environment = fastdds_environment(processes=1)
    assert set(environment.values()) <= {str(fastdds_profile())} and fastdds_profile().is_file()
    assert fastdds_environment(processes=10**9) == {}


NETWORK = (*middleware._PROFILE_VARIABLES, *middleware._OWN_NETWORK, "ROS_AUTOMATIC_DISCOVERY_RANGE")
SHARED = """
import pathlib, rclpy
from asyncvla_ros.ros.middleware import use_udp_alone
use_udp_alone()
rclpy.init()
node = rclpy.create_node("alone")
print("/dev/shm/fast" in pathlib.Path("/proc/self/maps").read_text())
"""


@pytest.mark.parametrize("reach", ["LOCALHOST", "SUBNET"])
@pytest.mark.parametrize("own", [{}, {"FASTDDS_DEFAULT_PROFILES_FILE": str(fastdds_profile())}])
def test_a_process_that_must_not_stand_still_shares_no_memory(monkeypatch, reach, own):
    for name in NETWORK:
        monkeypatch.delenv(name, raising=False)
    with free_domain() as domain:
        settings = {**own, "ROS_AUTOMATIC_DISCOVERY_RANGE": reach, "ROS_DOMAIN_ID": str(domain)}
        run = partial(
            subprocess.run, env={**os.environ, **settings}, capture_output=True, text=True, check=True
        )
        assert run([sys.executable, "-c", SHARED]).stdout.strip() == "False"
        shares = SHARED.replace("use_udp_alone()", "pass")
        assert run([sys.executable, "-c", shares]).stdout.strip() == "True", "else this test sees nothing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FASTDDS_DEFAULT_PROFILES_FILE", "/etc/my_network.xml"),
        ("ROS_STATIC_PEERS", "10.0.0.2"),
        ("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp"),
    ],
)
def test_the_network_settings_of_the_user_stay(monkeypatch, name, value):
    for other in NETWORK:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv(name, value)
    before = dict(os.environ)
    middleware.use_udp_alone()
    assert dict(os.environ) == before
    assert middleware.has_own_profile() == (name == "FASTDDS_DEFAULT_PROFILES_FILE")
