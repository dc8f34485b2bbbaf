"""The node that moves the arm: chunks in, commands out."""
