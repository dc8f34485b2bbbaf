"""``python -m asyncvla_ros.ros.libero_sim_node``: the libero_sim node without a launcher."""

from asyncvla_ros.ros.start_node import start_node


def main() -> None:
    """Run the ``libero_sim_node`` executable."""
    start_node("libero_sim")


if __name__ == "__main__":
    main()
