"""``python -m asyncvla_ros.ros.visualizer_node``: the visualizer node without a launcher."""

from asyncvla_ros.ros.visualizer.node import main

if __name__ == "__main__":
    main()
