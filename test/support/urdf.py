"""Robot descriptions small enough to know the answers."""

from __future__ import annotations

# Joints in no order, a mimic, a limit that nobody filled in, and a transmission that repeats a name.
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

# Two links of 0.5 m and 0.4 m turning about z, 0.1 m above the base, and a lift.
PLANAR = """
<robot name="planar">
  <link name="base"/><link name="upper"/><link name="fore"/><link name="slide"/><link name="tip"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><origin xyz="0 0 0.1"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" effort="1" velocity="1"/>
  </joint>
  <joint name="elbow" type="continuous">
    <parent link="upper"/><child link="fore"/><origin xyz="0.5 0 0"/><axis xyz="0 0 2"/>
  </joint>
  <joint name="lift" type="prismatic">
    <parent link="fore"/><child link="slide"/><axis xyz="0 0 1"/>
    <limit lower="0" upper="1" effort="1" velocity="1"/>
  </joint>
  <joint name="end" type="fixed">
    <parent link="slide"/><child link="tip"/><origin xyz="0.4 0 0"/>
  </joint>
</robot>
"""

_INERTIAL = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'

# Nothing is parallel to anything here.
SPATIAL = f"""
<robot name="spatial">
  <mujoco><compiler fusestatic="false" discardvisual="false"/></mujoco>
  <link name="base"/>
  <link name="one">{_INERTIAL}</link><link name="two">{_INERTIAL}</link><link name="tip">{_INERTIAL}</link>
  <joint name="a" type="revolute">
    <parent link="base"/><child link="one"/><origin xyz="0.1 -0.2 0.3" rpy="0.4 -0.5 0.6"/>
    <axis xyz="0.2 0.3 1"/><limit lower="-4" upper="4" effort="1" velocity="1"/>
  </joint>
  <joint name="b" type="revolute">
    <parent link="one"/><child link="two"/><origin xyz="0.3 0.1 -0.2" rpy="-1.2 0.7 2.1"/>
    <axis xyz="1 -0.4 0.1"/><limit lower="-4" upper="4" effort="1" velocity="1"/>
  </joint>
  <joint name="c" type="prismatic">
    <parent link="two"/><child link="tip"/><origin xyz="0 0.25 0.15" rpy="0.3 1.1 -0.8"/>
    <axis xyz="0.5 0.5 -1"/><limit lower="-1" upper="1" effort="1" velocity="1"/>
  </joint>
</robot>
"""
