"""Our messages and camera images cross processes; images with the shipped Fast DDS profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncvla_ros.ros.middleware import fastdds_environment, fastdds_profile

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
PEER = str(ROOT / "test/support/image_peer.py")
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


@pytest.mark.parametrize("size", [("640", "480"), ("1280", "720")])
def test_large_images_arrive_with_the_shipped_profile(start_process, size):
    profile = fastdds_environment(processes=2)
    if not profile:
        pytest.skip("/dev/shm has no room for the segments of two processes")
    count = start_process(PEER, "count", *size, "30", env=profile)
    count.wait_for_output("listening")
    start_process(PEER, "publish", *size, "30", env=profile)
    count.wait_for_output("received ", timeout=30)
    received = int(count.output.split("received ")[1].split()[0])
    # Best-effort delivery may lose a frame on a loaded machine; without the profile it loses nearly all.
    assert received >= 27


def test_the_profile_is_used_only_where_its_segments_fit():
    environment = fastdds_environment(processes=1)
    assert set(environment.values()) <= {str(fastdds_profile())} and fastdds_profile().is_file()
    assert fastdds_environment(processes=10**9) == {}
