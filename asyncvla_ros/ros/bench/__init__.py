"""A robot, a policy and onlookers to measure the ROS graph with, each in a process of its own."""
