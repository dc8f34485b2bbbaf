"""Recordings of rosbag2, without ROS."""
