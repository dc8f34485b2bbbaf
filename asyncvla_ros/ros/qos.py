"""Quality of service of every topic, once; the table of docs/ros-interface.md."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

RELIABILITIES = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}

# Only the newest chunk counts; a controller that was restarted gets it too.
CHUNK = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
STATUS = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# In lockstep every tick counts: the world waits for the answer to each.
LOCKSTEP_CLOCK = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def sensor(reliability: str) -> QoSProfile:
    """Cameras: the newest sample; ``reliable`` for simulators that publish each one once."""
    return QoSProfile(depth=1, reliability=RELIABILITIES[reliability])


def state(reliability: str) -> QoSProfile:
    """Robot state: a few samples, so that one with some of the joints does not push out a whole one."""
    return QoSProfile(depth=5, reliability=RELIABILITIES[reliability])
