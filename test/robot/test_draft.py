from __future__ import annotations

import pytest

from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.robot.draft import LiveTopics, cameras_of, draft
from asyncvla_ros.robot.urdf import UrdfJoint, read_urdf
from asyncvla_ros.types import ContractError
from support.drafts import filled_in
from support.urdf import URDF

LIVE = LiveTopics(
    joint_topic="/joint_states",
    joints=("elbow", "shoulder", "wheel", "on"),
    images={"/wrist/image_raw": "raw", "/wrist/image_raw/compressed": "compressed"},
    trajectory_topics=("/arm_controller/joint_trajectory", "/hand_controller/joint_trajectory"),
    urdf=None,
)
SILENT = LiveTopics("", (), {}, (), "")


def test_a_urdf_is_read_from_the_base_outwards():
    urdf = read_urdf(URDF, "arm.urdf")
    assert urdf.root == "base"
    assert urdf.joints == (
        UrdfJoint("shoulder", "rad", (-3.1, 3.1), None),
        UrdfJoint("elbow", "rad", (-2.345678, 1.234567), 2.5),
        UrdfJoint("wrist", "rad", None, None, is_continuous=True),
        UrdfJoint("finger_joint", "m", (0.0, 0.04), 0.2),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joint_states", "arm: expected a URDF, found no XML"),
        ("<sdf/>", "arm: expected the root element <robot>, found <sdf>"),
        ('<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:arm/></robot>', "xacro arm > robot.urdf"),
        ('<robot><link name="a"/><link name="b"/></robot>', "one link without a parent, found a, b"),
        ('<robot><link name="a"/></robot>', "expected joints that move .*found none"),
        (URDF.replace('lower="-3.1"', 'lower="wide"'), "a joint is incomplete: ValueError"),
        (URDF.replace('<child link="finger"/>', ""), "joint finger_joint has no <child link=...>"),
        (URDF.replace('<child link="finger"/>', '<child link="upper"/>'), "upper occurs more than once"),
    ],
)
def test_what_is_no_urdf_is_named(text, message):
    with pytest.raises(ContractError, match=message):
        read_urdf(text, "arm")


@pytest.mark.parametrize("urdf", [read_urdf(URDF, "arm"), None], ids=["urdf", "no urdf"])
@pytest.mark.parametrize("live", [LIVE, SILENT, None], ids=["live", "silent", "not live"])
def test_a_draft_loads_once_it_is_filled_in(urdf, live, tmp_path):
    file = tmp_path / "arm.yaml"
    file.write_text(draft("on", urdf, live))
    with pytest.raises(ContractError, match="not filled in yet: FILL_IN in line"):
        load_robot(file)
    file.write_text(filled_in(file.read_text()))
    robot = load_robot(file)
    assert robot.name == "on"
    expected = {
        (True, True): ("shoulder", "elbow"),
        (True, False): ("shoulder", "elbow", "wrist", "finger_joint"),
        (False, True): LIVE.joints,
        (False, False): ("joint",),
    }
    assert robot.dof_names == robot.state_names == expected[urdf is not None, live is LIVE]
    if live is LIVE:
        assert [(c.key, c.topic) for c in robot.cameras] == [("wrist", "/wrist/image_raw")]
        assert robot.outputs[1].topic == "/arm_controller/joint_trajectory"
    if urdf is not None:
        elbow = robot.dofs[robot.dof_names.index("elbow")]
        assert (elbow.minimum, elbow.maximum) == (-2.3456, 1.2345), "never wider than the URDF"
        assert (elbow.velocity, elbow.acceleration, elbow.jerk) == (2.5, 2.5, 25.0)
        assert robot.base_frame == "base"


def test_cameras_are_named_after_their_topics():
    images = dict.fromkeys(
        [
            "/camera/camera/color/image_raw",
            "/camera/wrist/color/image_raw",
            "/left/wrist/image_rect",
            "/camera/wrist/depth/image_rect_raw",
            "/camera/wrist/infra1/image_rect_raw",
        ],
        "raw",
    ) | {
        "/front/image_raw/compressed": "compressed",
        "/camera/wrist/color/image_raw/compressed": "compressed",
    }
    cameras, others = cameras_of(images)
    assert {camera.key: (camera.topic, camera.transport) for camera in cameras} == {
        "camera": ("/camera/camera/color/image_raw", "raw"),
        "wrist": ("/camera/wrist/color/image_raw", "raw"),
        "front": ("/front/image_raw/compressed", "compressed"),
        "wrist_2": ("/left/wrist/image_rect", "raw"),
    }
    assert others == (
        "/camera/wrist/color/image_raw/compressed",
        "/camera/wrist/depth/image_rect_raw",
        "/camera/wrist/infra1/image_rect_raw",
    )
