"""``python -m asyncvla_ros.ros.libero_sim_node``: the libero_sim node without a launcher."""

from asyncvla_ros.ros.libero_sim.node import main

if __name__ == "__main__":
    main()
