"""What measures without ROS."""
