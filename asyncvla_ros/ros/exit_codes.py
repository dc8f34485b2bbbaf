"""Exit codes of a node that cannot start, however often it is tried."""

from __future__ import annotations

# Wrong parameters; a checkpoint, contract or driver that does not fit.
WRONG_PARAMETERS, REFUSED = 2, 3
HOPELESS = (WRONG_PARAMETERS, REFUSED)
