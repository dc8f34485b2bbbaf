"""``python -m asyncvla_ros.ros.recorder_node``: the recorder without a launcher."""

from asyncvla_ros.ros.start_node import start_node


def main() -> None:
    """Run the ``recorder_node`` executable."""
    start_node("recorder")


if __name__ == "__main__":
    main()
