"""A chunk that is at speed where the arm rests: the arm follows, and does not back up for a run-up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Mode
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot

ARM = replace(load_robot(robot_file("ur5e")), ramp_s=0.0, driver_states=(), enable=None)
TURNED = [index for index, dof in enumerate(ARM.dofs) if not dof.holds_command]
PLACE = np.array([(dof.minimum + dof.maximum) / 2 if dof.holds_command else 0.1 for dof in ARM.dofs])
# [rad], what commands may leave the hull of arm and targets by.
SLACK = 5e-3
SEC = 10**9


class Rig:
    """An arm that obeys at once; its commands so far."""

    def __init__(self):
        self.controller = Controller(ARM)
        self.controller.start()
        self.now_ns, self.position, self.ids = SEC, PLACE.copy(), 0
        self.commands = []
        # Its driver has come to where the first command is.
        self.run(150)

    def run(self, periods):
        for _ in range(periods):
            self.now_ns += ARM.command_period_ns
            places = dict(zip(ARM.dof_names, self.position.tolist(), strict=True))
            for source in ARM.state:
                values = {name: places.get(name, 0.0) for name in source.names}
                self.controller.observe(source.topic, self.now_ns, values)
            command = self.controller.update(self.now_ns, self.now_ns)
            if command.values is not None:
                self.position = np.where(np.isnan(command.values), self.position, command.values)
                self.commands.append(self.position)

    def send(self, targets):
        self.ids += 1
        actions = targets.astype(np.float32)
        names = (ARM.action_space, ARM.dof_names, actions)
        assert (
            self.controller.accept(
                StampedChunk(1, self.ids, self.now_ns, ARM.action_period_ns, *names), self.now_ns
            )
            is None
        )


def ramp(place, speed, length=30):
    """(length, d) targets that leave ``place`` at once at ``speed`` [rad/s]."""
    way = np.arange(length)[:, None] * speed * ARM.action_period_ns / 1e9
    return np.where(np.isin(np.arange(len(place)), TURNED), place + way, place)


@pytest.mark.parametrize("speed", [0.5, 1.5, -1.5])
def test_the_arm_never_backs_up_from_rest_nor_after_an_underrun(speed):
    rig = Rig()
    for _ in range(3):
        start = rig.position.copy()
        rig.commands.clear()
        targets = ramp(start, speed, length=12)
        rig.send(targets)
        rig.run(round(11 * ARM.action_period_ns / ARM.command_period_ns))
        assert rig.controller.mode is Mode.TRACKING
        way = np.array(rig.commands)[:, TURNED]
        low, high = np.minimum(start, targets.min(axis=0)), np.maximum(start, targets.max(axis=0))
        assert (way >= low[TURNED] - SLACK).all() and (way <= high[TURNED] + SLACK).all()
        behind = np.sign(speed) * (way - start[TURNED])
        assert behind.min() > -1e-4, "it backs up"
        assert behind[-1].min() > 0.3 * abs(speed) * 11 * ARM.action_period_ns / 1e9, "it goes along"
        # The chunk ends: it stops, and begins again from rest.
        rig.run(100)
        assert rig.controller.at_rest


def test_a_moving_reference_is_still_met():
    rig = Rig()
    began_ns = rig.now_ns
    rig.send(ramp(rig.position, 0.4, length=60))
    rig.run(round(18 * ARM.action_period_ns / ARM.command_period_ns))
    expected = PLACE[TURNED] + 0.4 * (rig.now_ns - began_ns) / 1e9
    assert rig.position[TURNED] == pytest.approx(expected, abs=0.01)
