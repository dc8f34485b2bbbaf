"""What the launch files share. Needs launch and launch_ros, which come with a ROS distribution."""
