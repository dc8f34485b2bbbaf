"""A robot, a policy and observers to measure the ROS graph with, each in a process of its own."""
