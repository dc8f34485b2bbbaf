"""``python -m asyncvla_ros.ros.controller_node``: the controller node without a launcher."""

from asyncvla_ros.ros.controller.node import main

if __name__ == "__main__":
    main()
