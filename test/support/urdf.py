"""A URDF of a small arm, and what a person does to a drafted contract."""

from __future__ import annotations

import re

URDF = """<?xml version="1.0"?>
<robot name="arm">
  <link name="base"/><link name="upper"/><link name="lower"/><link name="hand"/>
  <link name="finger"/><link name="other_finger"/><link name="flange"/>
  <joint name="finger_joint" type="prismatic">
    <parent link="hand"/><child link="finger"/><limit lower="0" upper="0.04" velocity="0.2" effort="1"/>
  </joint>
  <joint name="other_finger_joint" type="prismatic">
    <parent link="hand"/><child link="other_finger"/><limit lower="0" upper="0.04" velocity="0.2" effort="1"/>
    <mimic joint="finger_joint"/>
  </joint>
  <joint name="elbow" type="revolute">
    <parent link="upper"/><child link="lower"/>
    <limit lower="-2.345678" upper="1.234567" velocity="2.5" effort="1"/>
  </joint>
  <joint name="flange_joint" type="fixed"><parent link="lower"/><child link="flange"/></joint>
  <joint name="wrist" type="continuous"><parent link="flange"/><child link="hand"/></joint>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><limit lower="-3.1" upper="3.1" velocity="0" effort="1"/>
  </joint>
  <transmission name="t"><joint name="elbow"/></transmission>
</robot>
"""
ANSWERS = {
    "control_hz: FILL_IN": "control_hz: 20",
    "base_frame: FILL_IN": "base_frame: base",
    "key: FILL_IN": "key: front",
    "topic: FILL_IN": "topic: /somewhere",
    "unit: FILL_IN": "unit: rad",
    "position: [FILL_IN, FILL_IN]": "position: [-1, 1]",
    "[FILL_IN]": "[joint]",
    "name: FILL_IN": "name: joint",
}


def filled_in(text: str) -> str:
    """A drafted contract after a person answered every blank."""
    for blank, answer in ANSWERS.items():
        # Topics must differ.
        parts = text.split(blank)
        text = parts[0] + "".join(
            answer + (str(n) if answer.endswith("where") else "") + part for n, part in enumerate(parts[1:])
        )
    return re.sub(r"(velocity|acceleration|jerk): FILL_IN", r"\1: 1.5", text)
