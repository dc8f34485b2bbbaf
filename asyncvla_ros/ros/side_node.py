"""Makes a temporary node beside those of a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node


@contextmanager
def side_node(name: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """Make a node with its own context and executor, so that it works while another executor is busy.

    The remappings of this process do not apply to it.
    """
    context = rclpy.Context()
    context.init(args=[])
    try:
        node = rclpy.create_node(
            name,
            context=context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        yield node, executor
        executor.shutdown()
        node.destroy_node()
    finally:
        context.try_shutdown()
