"""Robot descriptions as they come: read, or refused with what is wrong with them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncvla_ros.robot.kinematics import load_chain
from asyncvla_ros.robot.urdf import read_urdf, robot_element
from asyncvla_ros.types import ContractError
from support.urdf import PLANAR, URDF


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "arm: it is empty; did xacro fail"),
        (" \n", "arm: it is empty"),
        (PLANAR.replace('<child link="fore"/>', ""), "arm: joint elbow has no <child link=...>"),
        (PLANAR.replace('<child link="fore"/>', "<child/>"), "arm: joint elbow has no <child link=...>"),
        (PLANAR.replace('<parent link="upper"/>', ""), "arm: joint elbow has no <parent link=...>"),
        (
            PLANAR.replace('name="elbow"', 'name="shoulder"'),
            "names of joints: shoulder occurs more than once",
        ),
        (PLANAR.replace('name="elbow" ', ""), "arm: 1 of 4 elements <joint> have no name"),
        (
            PLANAR.replace('<link name="tip"/>', '<link name="fore"/>'),
            "names of links: fore occurs more than",
        ),
    ],
)
def test_a_description_that_cannot_be_is_refused_at_once(text, message):
    with pytest.raises(ContractError, match=message):
        robot_element(text, "arm")


def test_a_long_chain_is_read_to_its_end():
    links = "".join(f'<link name="l{i}"/>' for i in range(3001))
    joints = "".join(
        f'<joint name="j{i}" type="continuous"><parent link="l{i}"/><child link="l{i + 1}"/></joint>'
        for i in range(3000)
    )
    text = f"<robot>{links}{joints}</robot>"
    assert len(read_urdf(text, "arm").joints) == len(load_chain(text, "l0", "l3000").names) == 3000


@pytest.mark.parametrize("origin", ["0 0 nan", "0 0 inf", "0 0", "a b c"])
def test_an_origin_is_three_finite_numbers(origin):
    with pytest.raises(ContractError, match="origin xyz of shoulder: expected three finite numbers"):
        load_chain(PLANAR.replace("0 0 0.1", origin), "base", "tip")


WORDS = sorted({*re.findall(r'"[^"]*"', URDF + PLANAR), *re.findall(r"<\w+|/>|</\w+>", URDF + PLANAR)})
ODD = ('""', '"nan"', '"-1e999"', '"fixed"', "<joint", "</robot>", "", "\x00", "é")


@settings(max_examples=400, derandomize=True, deadline=None)
@given(
    st.sampled_from([URDF, PLANAR]),
    st.lists(
        st.tuples(st.sampled_from(WORDS), st.sampled_from([*WORDS, *ODD]), st.integers(1, 3)), max_size=3
    ),
)
def test_whatever_a_description_says(text, changes):
    for word, other, count in changes:
        text = text.replace(word, other, count)
    for read in (lambda: read_urdf(text, "arm"), lambda: load_chain(text, "base", "tip")):
        try:
            read()
        except ContractError as error:
            assert str(error)
