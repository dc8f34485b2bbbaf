"""``python -m asyncvla_ros.ros.controller_node``: the controller node without a launcher."""

from asyncvla_ros.ros.start_node import start_node


def main() -> None:
    """Run the ``controller_node`` executable."""
    start_node("controller")


if __name__ == "__main__":
    main()
