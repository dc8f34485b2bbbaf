"""``asyncvla demo``: the nodes of ``libero.launch.py`` without a launcher, watched and recorded."""
