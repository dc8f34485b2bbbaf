"""What a person does to a drafted contract."""

from __future__ import annotations

import re

ANSWERS = {
    "action_hz: FILL_IN": "action_hz: 20",
    "base_frame: FILL_IN": "base_frame: base",
    "key: FILL_IN": "key: front",
    "topic: FILL_IN": "topic: /somewhere",
    "unit: FILL_IN": "unit: rad",
    "position: [FILL_IN, FILL_IN]": "position: [-1, 1]",
    "[FILL_IN]": "[joint]",
    "name: FILL_IN": "name: joint",
}


def filled_in(text: str) -> str:
    """Fill in every blank of a drafted contract, as a person would."""
    for blank, answer in ANSWERS.items():
        # Topics must differ.
        parts = text.split(blank)
        text = parts[0] + "".join(
            answer + (str(n) if answer.endswith("where") else "") + part for n, part in enumerate(parts[1:])
        )
    return re.sub(r"(velocity|acceleration|jerk): FILL_IN", r"\1: 1.5", text)
