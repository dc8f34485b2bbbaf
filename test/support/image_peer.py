"""One end of a camera topic in a process of its own: ``image_peer.py publish|count WIDTH HEIGHT COUNT``."""

from __future__ import annotations

import array
import sys

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

RATE_HZ = 30.0
TOPIC = "image_raw"
PATIENCE_S = 3.0


def publish(node: Node, image: Image, count: int) -> None:
    """Publishes ``count`` images at 30 Hz as soon as somebody listens."""
    publisher = node.create_publisher(Image, TOPIC, qos_profile_sensor_data)
    while publisher.get_subscription_count() == 0:
        rclpy.spin_once(node, timeout_sec=0.05)
    sent = 0

    def send() -> None:
        nonlocal sent
        image.header.frame_id = str(sent)
        publisher.publish(image)
        sent += 1

    node.create_timer(1.0 / RATE_HZ, send)
    while sent < count:
        rclpy.spin_once(node, timeout_sec=1.0)
    print(f"sent {sent}", flush=True)


def count_received(node: Node, count: int) -> None:
    """Counts images until all have arrived or none came for a while."""
    received: list[str] = []
    node.create_subscription(
        Image, TOPIC, lambda image: received.append(image.header.frame_id), qos_profile_sensor_data
    )
    print("listening", flush=True)
    deadline = node.get_clock().now().nanoseconds + round((count / RATE_HZ + 2 * PATIENCE_S) * 1e9)
    while len(received) < count and node.get_clock().now().nanoseconds < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(f"received {len(received)} of {count}", flush=True)


def main() -> None:
    role, width, height, count = sys.argv[1], *map(int, sys.argv[2:5])
    rclpy.init()
    node = rclpy.create_node(f"image_{role}")
    if role == "publish":
        size = 3 * width * height
        image = Image(width=width, height=height, step=3 * width, encoding="rgb8")
        image.data = array.array("B", bytes(size))
        publish(node, image, count)
    else:
        count_received(node, count)
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
