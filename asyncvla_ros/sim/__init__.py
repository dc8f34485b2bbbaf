"""LIBERO without ROS: environment, scripted expert, collection, evaluation."""
