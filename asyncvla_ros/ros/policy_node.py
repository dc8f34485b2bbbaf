"""``python -m asyncvla_ros.ros.policy_node``: the policy node without a launcher."""

from asyncvla_ros.ros.start_node import start_node


def main() -> None:
    """Run the ``policy_node`` executable."""
    start_node("policy")


if __name__ == "__main__":
    main()
