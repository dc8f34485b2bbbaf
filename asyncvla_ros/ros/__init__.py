"""ROS 2 nodes. The only package that imports rclpy."""
