"""The bench arm as the driver of an arm runs: all its threads go before those of other processes."""

from __future__ import annotations

import os

from asyncvla_ros.ros.bench import arm_node

# That of ros2_control's own loop (SCHED_FIFO).
PRIORITY = 50


def main() -> None:
    """Run the node."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        # Then it waits its turn.
        pass
    arm_node.main()


if __name__ == "__main__":
    main()
