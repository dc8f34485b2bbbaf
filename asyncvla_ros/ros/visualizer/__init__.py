"""The visualizer node: shows chunk, confidence and overlay in rviz."""
