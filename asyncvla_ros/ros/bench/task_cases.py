"""A task is canceled while the arm moves."""

from __future__ import annotations

import time
from typing import Any

from asyncvla_msgs.action import RunTask
from asyncvla_ros.control.types import Reason
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_problems import hold_problems
from asyncvla_ros.ros.bench.fault_record import is_tracked
from asyncvla_ros.ros.bench.fault_rig import ANSWER_S, HOLD_S, REST_S, Rig
from asyncvla_ros.types import RunError

INSTRUCTION = "sweep"


def cancel_task(rig: Rig, number: int, slack_s: float) -> Outcome:
    """Begin a task, cancel it in motion, begin another one; restore the instruction."""
    record = rig.record
    rig.set("policy", instruction="")
    client = rig.observer.action_client(RunTask, "policy/run_task", ANSWER_S)
    try:
        goal = _begin(rig, client)
        rig.move()
        asked_ns = time.time_ns()
        _, came_ns = rig.observer.result(goal.cancel_goal_async(), "answer to the cancel", ANSWER_S)
        rig.observer.settle(lambda: record.held_ns(asked_ns) is not None, HOLD_S)
        rig.observer.settle(record.is_held, REST_S)
        period_ns = rig.robot.command_period_ns
        limit_ms = (came_ns - asked_ns + period_ns) / 1e6 + 1e3 * slack_s
        problems = hold_problems(record, asked_ns, limit_ms, frozenset({Reason.TASK_ENDED}))
        late = [told for told in record.commands if is_tracked(told, asked_ns)]
        if any(told.sent_ns > came_ns + period_ns for told in late):
            problems.append("a command of the canceled task was sent more than a period after the answer")
        held_ms, standstill_ns = record.held_ms(asked_ns), record.standstill_ns(asked_ns)
        error = record.pose_error()
        mended_ns = time.time_ns()
        _begin(rig, client)
        recovered_ns = rig.wait_for_motion(mended_ns)
        rig.set("policy", instruction=INSTRUCTION)
    finally:
        client.destroy()
    return Outcome(
        problems=problems + rig.demand_problems(),
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        held_ms=held_ms,
        limit_ms=limit_ms,
        standstill_ms=(standstill_ns - asked_ns) / 1e6,
        pose_error=error,
        times_ms={"answer": (came_ns - asked_ns) / 1e6},
    )


def _begin(rig: Rig, client: Any) -> Any:
    """Begin a task; return its handle.

    Raises:
        RunError: it is not accepted.
    """
    if not client.wait_for_server(ANSWER_S):
        raise RunError("the policy offers no tasks")
    goal = RunTask.Goal(instruction=INSTRUCTION)
    try:
        handle, _ = rig.observer.result(client.send_goal_async(goal), "answer to the task", ANSWER_S)
    except RunError:
        # An answer can be lost while the other side does not know a new client yet. The newer task wins.
        handle, _ = rig.observer.result(client.send_goal_async(goal), "second answer to the task", ANSWER_S)
    if not handle.accepted:
        raise RunError("the task was not accepted")
    return handle
