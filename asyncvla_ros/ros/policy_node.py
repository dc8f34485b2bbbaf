"""``python -m asyncvla_ros.ros.policy_node``: the policy node without a launcher."""

from asyncvla_ros.ros.policy.node import main

if __name__ == "__main__":
    main()
