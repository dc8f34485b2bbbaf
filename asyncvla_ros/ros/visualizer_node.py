"""``python -m asyncvla_ros.ros.visualizer_node``: the visualizer node without a launcher."""

from asyncvla_ros.ros.start_node import start_node


def main() -> None:
    """Run the ``visualizer_node`` executable."""
    start_node("visualizer")


if __name__ == "__main__":
    main()
