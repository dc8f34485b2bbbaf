"""What was stopped stays stopped until it is reset, whatever becomes of the node meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.control.types import Mode, Reason
from support.controller_rig import ControllerRig

pytestmark = pytest.mark.ros


@pytest.fixture
def rig(start_controller, arm, ros_client):
    start_controller()
    return ControllerRig(ros_client)


def stays_stopped(rig: ControllerRig, arm) -> None:
    """Chunks are accepted, and nothing moves."""
    before = arm.measured
    rig.status.clear()
    rig.send(1.0, 1.0)
    accepted = rig.status.wait(where=lambda s: s.accepted_chunks >= 1)
    assert (accepted.mode, accepted.reason_code) == (Mode.ESTOP, Reason.ESTOP)
    count = len(arm.received.messages)
    arm.received.wait(count + 10)
    assert arm.measured == pytest.approx(before, abs=1e-6)


def moves_after_reset(rig: ControllerRig, arm) -> None:
    assert rig.trigger("reset") and not rig.trigger("reset")
    rig.move(2.0, 0.0)


@pytest.mark.parametrize(
    "way", [("deactivate", "activate"), ("deactivate", "cleanup", "configure", "activate")]
)
def test_an_estop_outlives_the_lifecycle(rig, arm, way):
    rig.begin()
    rig.move(2.0, 0.0)
    assert rig.trigger("estop")
    rig.expect(Mode.ESTOP)
    rig.transition(*way)
    stays_stopped(rig, arm)
    moves_after_reset(rig, arm)


def test_an_estop_while_inactive_counts(rig, arm):
    rig.transition("configure")
    assert rig.trigger("estop")
    rig.transition("activate")
    rig.expect(Mode.ESTOP)
    stays_stopped(rig, arm)
    moves_after_reset(rig, arm)


def test_a_reset_while_inactive_counts(rig, arm):
    rig.transition("configure")
    assert rig.trigger("estop") and rig.trigger("reset")
    rig.transition("activate")
    rig.expect(Mode.IDLE)
    rig.move(2.0, 0.0)
    assert np.all(np.isfinite(arm.measured)) and not arm.refusals
