"""Datasets: LeRobot reading and writing, normalisation statistics."""
