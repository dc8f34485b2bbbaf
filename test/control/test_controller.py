from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Command, Mode, Reason
from support.contracts import DOFS, MS, STEP_NS, chunk, untracked_panda

ROBOT = untracked_panda()
SEC = 1000 * MS


def _started(**options) -> Controller:
    controller = Controller(ROBOT, **options)
    controller.start()
    return controller


def _see(controller: Controller, now_ns: int) -> None:
    for source in ROBOT.state:
        controller.observe(source.topic, now_ns, {})


def _tracking(now_ns: int = 0, **options) -> Controller:
    controller = _started(**options)
    _see(controller, now_ns)
    actions = np.tile(np.array([0.01] * 6 + [1.0], np.float32), (8, 1))
    assert controller.accept(chunk(1, now_ns, actions=actions), now_ns) is None
    assert controller.update(now_ns, now_ns).action is not None
    assert (controller.mode, controller.reason) == (Mode.TRACKING, Reason.NONE)
    return controller


def test_idle_until_the_first_chunk():
    controller = Controller(ROBOT)
    assert (controller.mode, controller.reason) == (Mode.IDLE, Reason.INACTIVE)
    controller.start()
    values = controller.update(STEP_NS, STEP_NS).values
    assert values is not None and not values[:6].any(), "no change"
    assert np.isnan(values[6]), "nothing to say of a target that was neither measured nor commanded"
    assert (controller.mode, controller.reason) == (Mode.IDLE, Reason.NO_CHUNK)


def test_tracks_clamps_and_counts():
    controller = _started()
    _see(controller, 0)
    actions = np.zeros((8, 7), np.float32)
    actions[0] = [9, 0, -9, 0, 0, 0, 2]
    controller.accept(chunk(actions=actions), 0)
    command = controller.update(3 * MS, 3 * MS)
    assert command.values is not None and command.action is not None
    assert command.values.tolist() == pytest.approx([0.05, 0, -0.05, 0, 0, 0, 1])
    assert command.stamp_ns == 0 and command.action.index == 0
    status = controller.status(3 * MS)
    assert status.clamped.tolist() == [1, 0, 1, 0, 0, 0, 1]
    assert (status.accepted, status.actions_left, status.chunk_id) == (1, 7, 1)


def test_at_most_one_command_per_action():
    controller = _tracking()
    assert controller.update(MS, MS).values is None
    assert controller.mode is Mode.TRACKING


def _underrun() -> Controller:
    """After all eight actions of its only chunk."""
    controller = _tracking()
    for step in range(1, 8):
        _see(controller, step * STEP_NS)
        assert controller.update(step * STEP_NS, step * STEP_NS).action is not None
    _see(controller, 8 * STEP_NS)
    return controller


def test_a_schedule_without_actions_left_holds():
    controller = _underrun()
    command = controller.update(8 * STEP_NS, 8 * STEP_NS)
    assert command.action is None and command.values is not None
    assert command.values.tolist() == [0, 0, 0, 0, 0, 0, 1], "the gripper keeps its target"
    assert (controller.mode, controller.reason) == (Mode.HOLDING, Reason.UNDERRUN)


def test_later_the_chunk_is_called_stale():
    controller = _underrun()
    controller.update(8 * STEP_NS, 8 * STEP_NS)
    _see(controller, 3 * SEC)
    controller.update(3 * SEC, 3 * SEC)
    assert controller.reason is Reason.CHUNK_STALE
    assert controller.text == "chunk 1 was observed 3.00 s ago, limit 0.5 s; is the policy running?"
    assert controller.status(3 * SEC).underruns == 2


def test_a_restarted_policy_ends_an_underrun():
    controller = _underrun()
    controller.update(8 * STEP_NS, 8 * STEP_NS)
    _see(controller, 3 * SEC)
    assert controller.accept(chunk(1, 3 * SEC, session_id=8), 3 * SEC) is None, "a restarted policy"
    assert controller.update(3 * SEC + MS, 3 * SEC + MS).action is not None
    assert controller.mode is Mode.TRACKING


def test_stale_or_absent_robot_state_holds():
    controller = _started()
    controller.accept(chunk(), 0)
    assert controller.update(0, 0).action is None
    assert controller.reason is Reason.OBSERVATION_STALE
    assert controller.text == "no robot state received on ee_pose"
    controller = _tracking()
    controller.observe("ee_pose", 600 * MS, {})
    controller.accept(chunk(2, 600 * MS), 600 * MS)
    assert controller.update(600 * MS, 600 * MS).action is None
    assert (controller.mode, controller.reason) == (Mode.HOLDING, Reason.OBSERVATION_STALE)
    assert controller.text == "joint_states is 0.60 s old, limit 0.5 s"


def test_rejected_chunks_become_the_reason_of_the_hold():
    controller = _started()
    _see(controller, 0)
    rejection = controller.accept(chunk(actions=np.full((8, 7), np.nan, np.float32)), 0)
    assert rejection is not None
    assert controller.update(0, 0).action is None
    assert (controller.mode, controller.reason) == (Mode.IDLE, Reason.CHUNK_REJECTED)
    controller.accept(chunk(), 0)
    controller.update(0, 0)
    rejection = controller.accept(chunk(), 0)
    assert rejection is not None and rejection.text.startswith("chunk 1 at 0 ns is not newer than chunk 1")
    _see(controller, SEC)
    controller.update(SEC, SEC)
    assert controller.reason is Reason.CHUNK_REJECTED and "out of sequence" in controller.text
    status = controller.status(SEC)
    assert (status.accepted, status.rejected) == (1, 2)
    assert status.last_rejection.startswith("out of sequence")


def test_backward_clock_forgets_the_plan():
    controller = _tracking(now_ns=100 * SEC)
    assert controller.update(SEC, SEC).action is None
    assert (controller.mode, controller.reason) == (Mode.HOLDING, Reason.CLOCK_JUMP)
    _see(controller, SEC)
    controller.accept(chunk(2, SEC), SEC)
    assert controller.update(SEC, SEC).action is not None


def test_estop_and_fault_latch_until_reset():
    controller = _tracking()
    assert not controller.reset()
    controller.estop()
    controller.accept(chunk(2, STEP_NS), STEP_NS)
    command = controller.update(STEP_NS, STEP_NS)
    assert command.action is None and command.values is not None and not command.values[:6].any()
    assert controller.mode is Mode.ESTOP
    assert controller.reset()
    assert controller.update(STEP_NS + MS, STEP_NS + MS).action is None, "what was planned is forgotten"
    controller.fault("division by zero")
    assert (controller.mode, controller.reason) == (Mode.FAULT, Reason.INTERNAL_ERROR)
    assert controller.reset()


def test_deactivation_ends_with_a_hold():
    controller = _tracking()
    command = controller.stop(MS, MS)
    assert command.values is not None and not command.values[:6].any()
    assert (controller.mode, controller.reason) == (Mode.IDLE, Reason.INACTIVE)


def test_lockstep_waits_without_holds_until_the_policy_is_silent():
    controller = _tracking(lockstep=True, n_action_steps=2)
    assert controller.update(STEP_NS, STEP_NS).action is not None
    command = controller.update(2 * STEP_NS, 2 * STEP_NS)
    assert (command.values, controller.mode) == (None, Mode.TRACKING)
    controller.on_policy_timeout(2.0)
    assert (controller.mode, controller.reason) == (Mode.HOLDING, Reason.UNDERRUN)
    assert "no chunk for 2.0 s of wall time" in controller.text
    assert controller.status(2 * STEP_NS).underruns == 0
    controller.accept(chunk(2, 2 * STEP_NS), 2 * STEP_NS)
    assert controller.update(2 * STEP_NS, 2 * STEP_NS).action is not None
    assert controller.mode is Mode.TRACKING


def test_lockstep_hands_out_the_actions_that_are_left_however_long_the_world_takes():
    controller = _tracking(lockstep=True, n_action_steps=2)
    controller.on_policy_timeout(2.0)
    assert controller.mode is Mode.TRACKING, "the world waits for the second action, not the policy"
    assert controller.update(STEP_NS, STEP_NS).action is not None


def test_targets_hold_what_was_commanded_and_before_that_where_they_are_measured():
    dofs = tuple(replace(dof, is_delta=False, minimum=-0.4, maximum=3.0) for dof in ROBOT.dofs)
    controller = Controller(replace(ROBOT, dofs=dofs, action_space="joint_position"))
    controller.start()
    _see(controller, 0)
    controller.observe("ee_pose", 0, {name: 0.5 for name in DOFS[:5]} | {"drz": -0.41})
    command = controller.update(0, 0)
    assert command.values is not None
    assert command.values[:6].tolist() == pytest.approx([0.5] * 5 + [-0.4]), "inside its range"
    controller.accept(chunk(action_space="joint_position"), 0)
    assert controller.update(0, MS).action is not None
    for at_ns in (SEC, SEC + STEP_NS):
        _see(controller, at_ns)
        controller.observe("ee_pose", at_ns, {name: 0.3 for name in DOFS[:6]})
        command = controller.update(at_ns, at_ns)
        assert command.values is not None and command.action is None
        assert command.values.tolist() == pytest.approx([0.001] + [0.0] * 6), "it must not sag"


def test_a_starved_controller_goes_on_with_the_next_chunk_only():
    controller = _tracking()
    controller.on_policy_timeout(2.0)
    _see(controller, STEP_NS)
    for at_ns in (STEP_NS, 2 * STEP_NS):
        assert controller.update(at_ns, at_ns).action is None
        assert (controller.mode, controller.reason) == (Mode.HOLDING, Reason.UNDERRUN)
    controller.accept(chunk(2, 2 * STEP_NS), 2 * STEP_NS)
    assert controller.update(2 * STEP_NS + MS, 2 * STEP_NS + MS).action is not None


def test_the_end_of_a_task_stops_at_once_even_if_it_comes_late():
    controller = _tracking()
    end = chunk(2, -10 * SEC, session_id=8, actions=np.zeros((0, 7), np.float32))
    assert controller.accept(end, MS) is not None, "of another session, from before this one"
    end = chunk(2, MS, actions=np.zeros((0, 7), np.float32))
    assert controller.accept(end, MS) is None
    command = controller.update(MS, MS)
    assert command.action is None and command.values is not None and not command.values[:6].any()
    assert (controller.mode, controller.reason) == (Mode.HOLDING, Reason.TASK_ENDED)
    assert controller.accept(chunk(1, MS), MS) is not None, "a chunk from before the end"


def test_latches_outlive_the_lifecycle():
    controller = _tracking()
    controller.estop()
    controller.stop(MS, MS)
    controller.start()
    assert controller.mode is Mode.ESTOP
    _see(controller, STEP_NS)
    controller.accept(chunk(2, STEP_NS), STEP_NS)
    assert controller.update(STEP_NS, STEP_NS).action is None
    assert controller.mode is Mode.ESTOP
    controller.stop(2 * STEP_NS, 2 * STEP_NS)
    controller.reset()
    controller.estop()
    controller.start()
    assert controller.mode is Mode.ESTOP, "latched while inactive"


VALUES = st.sampled_from([0.0, 0.01, -0.2, 1e30, float("nan"), float("inf")])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("chunk"), VALUES, st.integers(-600, 600)),
        st.tuples(st.just("tick"), st.integers(-2, 150)),
        st.tuples(st.sampled_from(["see", "estop", "reset", "fault", "starve"])),
    ),
    max_size=60,
)


def _checked(controller: Controller, command: Command, now: int, last: tuple[int, int]) -> tuple[int, int]:
    """Check a command of ``now`` [ns]; return chunk and index of its action, ``last`` without one."""
    if command.values is not None:
        assert np.isfinite(command.values[:6]).all()
        for dof, value in zip(ROBOT.dofs, command.values, strict=True):
            assert np.isnan(value) or np.float32(dof.minimum) <= value <= np.float32(dof.maximum)
    if command.action is None:
        return last
    assert controller.mode is Mode.TRACKING
    assert command.action.due_ns <= now < command.action.due_ns + STEP_NS
    place = command.action.chunk.chunk_id, command.action.index
    assert place > last
    return place


@given(EVENTS)
@settings(deadline=None)
def test_no_sequence_of_events_commands_outside_the_limits(events):
    controller = _started()
    now, chunk_id, last = 10 * SEC, 0, (0, -1)
    for event in events:
        if event[0] == "chunk":
            chunk_id += 1
            actions = np.full((4, 7), event[1], np.float32)
            controller.accept(chunk(chunk_id, now + event[2] * MS, actions=actions), now)
        elif event[0] == "tick":
            now += event[1] * MS
            last = _checked(controller, controller.update(now, now), now, last)
        elif event[0] == "see":
            _see(controller, now)
        elif event[0] == "estop":
            controller.estop()
        elif event[0] == "reset":
            controller.reset()
        elif event[0] == "fault":
            controller.fault("test")
        else:
            controller.on_policy_timeout(2.0)
        assert controller.status(now).actions_left >= 0
