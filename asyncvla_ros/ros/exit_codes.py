"""Exit codes of a node that will not start however often it is tried."""

from __future__ import annotations

# Its parameters are wrong; what they name (checkpoint, contract, drivers) does not fit.
WRONG_PARAMETERS, REFUSED = 2, 3
HOPELESS = (WRONG_PARAMETERS, REFUSED)
