"""Quality of service of every topic, as in the table of docs/ros-interface.md."""

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
    """Return the profile of cameras: the newest sample; ``reliable`` where each is published only once."""
    return QoSProfile(depth=1, reliability=RELIABILITIES[reliability])


def state(reliability: str) -> QoSProfile:
    """Return the profile of robot state: a few samples, as one may hold only some of the joints."""
    return QoSProfile(depth=5, reliability=RELIABILITIES[reliability])
