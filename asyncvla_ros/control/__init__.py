"""What moves the arm: schedule, tracker, controller."""
