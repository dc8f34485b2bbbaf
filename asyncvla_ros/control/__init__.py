"""The control path from chunks to joint commands: schedule, tracker, controller."""
