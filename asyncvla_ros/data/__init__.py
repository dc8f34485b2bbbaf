"""Datasets: LeRobot reading and writing, normalization statistics."""
