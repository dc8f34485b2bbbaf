"""Serves the RunTask action, and the service that does the same, on one TaskSlot."""

from __future__ import annotations

import threading
import time
import traceback
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node

from asyncvla_msgs.action import RunTask
from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_msgs.srv import RunTaskBlocking
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros.conversions import to_duration
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.policy.ordered_group import OrderedGroup
from asyncvla_ros.ros.policy.tasks import TaskRun, TaskSlot
from asyncvla_ros.types import AsyncVLAError

Result = RunTask.Result
# Wall time between two checks of the time limit, and between two feedbacks, while no chunk comes [s].
POLL = 0.2
# Longest wait for rclpy to mark a goal that is canceled [s]; it takes microseconds.
MARK_S = 1.0
# Two for tasks that block until they end (the old one and its successor), one for everything else.
THREADS = 3
EPISODE_ENDS = {
    EpisodeStatus.STATE_SUCCESS: (Result.TERMINATION_SUCCESS, "solved"),
    EpisodeStatus.STATE_TIMEOUT: (Result.TERMINATION_TIME_LIMIT, "the episode is out of steps"),
    EpisodeStatus.STATE_ABORTED: (Result.TERMINATION_CANCELED, "the episode was aborted by a reset"),
    EpisodeStatus.STATE_FAULT: (Result.TERMINATION_FAULT, "the simulator failed"),
}


class RunTaskServer:
    """Serves ``~/run_task`` (action) and ``~/run_task_blocking`` (service) until the node's teardown.

    Their callbacks block while the task runs, so they have a node and threads of their own. In the node's own
    executor, even a multi-threaded one, camera images waited up to a second for a thread.

    A task begins in the callback that accepts it, so in the order of the requests. The threads that wait for
    its end begin in any order: of two goals in quick succession the older would replace the newer.

    Threads: all but ``__init__`` and ``note_episode`` runs in the threads of this server.

    Args:
        node: Owner of action and service.
        tasks: Where tasks begin and end.
    """

    def __init__(self, node: ManagedNode, tasks: TaskSlot):
        self._node = node
        self._tasks = tasks
        #: Goals that have not ended, and those of them that a client canceled. The threads of this server
        #: share them without a lock: each touch is one operation, which Python makes whole.
        self._by_goal: dict[bytes, TaskRun] = {}
        self._canceled: set[bytes] = set()
        self._order = OrderedGroup()
        # Names below are absolute: what renames the main node on the command line must not rename this one.
        own = Node(
            f"{node.get_name()}_tasks",
            context=node.context,
            namespace=node.get_namespace(),
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        node.resources.callback(own.destroy_node)
        prefix = node.get_fully_qualified_name()
        action = ActionServer(
            own,
            RunTask,
            f"{prefix}/run_task",
            self._execute,
            callback_group=self._order,
            goal_callback=self._accepts,
            handle_accepted_callback=self._begin,
            cancel_callback=self._cancel,
        )
        node.resources.callback(action.destroy)
        own.create_service(
            RunTaskBlocking,
            f"{prefix}/run_task_blocking",
            self._run_blocking,
            callback_group=self._order,
        )
        self._executor = MultiThreadedExecutor(THREADS, context=node.context)
        self._executor.add_node(own)
        spinner = threading.Thread(target=self._spin, name="tasks", daemon=True)
        spinner.start()
        node.resources.callback(spinner.join)
        node.resources.callback(self._executor.shutdown)

    def note_episode(self, message: EpisodeStatus) -> None:
        """Note a simulator's status: the end of its episode is the end of the task."""
        termination, text = EPISODE_ENDS.get(message.state, (Result.TERMINATION_UNKNOWN, ""))
        is_running = message.state == EpisodeStatus.STATE_RUNNING
        text = message.message or text
        self._tasks.note_episode(message.episode_id, termination, text, is_running=is_running)

    def _accepts(self, goal: RunTask.Goal) -> GoalResponse:
        try:
            self._tasks.check(goal.instruction)
        except AsyncVLAError as error:
            self._node.get_logger().warning(f"run_task rejected: {error}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _begin(self, handle: ServerGoalHandle) -> None:
        """Begin the task of a goal; rclpy calls it with the acceptance, so no cancel comes before."""
        try:
            self._by_goal[_key(handle)] = self._begun(handle.request)
        finally:
            # Also after an error: else the client would wait forever.
            handle.execute()

    def _begun(self, goal: RunTask.Goal) -> TaskRun:
        """Begin the task of an accepted goal; return an ended one if the node was deactivated since."""
        now_ns = self._now_ns()
        try:
            return self._tasks.begin(goal.instruction, now_ns, to_ns(goal.time_limit))
        except AsyncVLAError as error:
            termination = Result.TERMINATION_DEACTIVATED
            return TaskRun(goal.instruction, now_ns, termination=termination, text=str(error))

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        task = self._by_goal.get(_key(handle))
        if task is not None and not task.has_ended:
            self._canceled.add(_key(handle))
            self._tasks.end(Result.TERMINATION_CANCELED, "canceled by the client", task)
        return CancelResponse.ACCEPT

    def _execute(self, handle: ServerGoalHandle) -> RunTask.Result:
        task = self._by_goal[_key(handle)]
        while not task.has_ended:
            self._wait(task)
            handle.publish_feedback(self._feedback(task))
        self._finish(handle, task)
        self._say(task)
        result = Result(termination=task.termination, text=task.text, chunks=task.chunks)
        result.elapsed = to_duration(max(0, self._now_ns() - task.began_ns))
        return result

    def _finish(self, handle: ServerGoalHandle, task: TaskRun) -> None:
        key = _key(handle)
        del self._by_goal[key]
        is_canceled = key in self._canceled
        self._canceled.discard(key)
        if task.termination == Result.TERMINATION_SUCCESS:
            handle.succeed()
        elif task.termination == Result.TERMINATION_CANCELED and is_canceled and _becomes_canceling(handle):
            handle.canceled()
        else:
            handle.abort()

    def _run_blocking(
        self, request: RunTaskBlocking.Request, response: RunTaskBlocking.Response
    ) -> RunTaskBlocking.Response:
        try:
            task = self._tasks.begin(request.instruction, self._now_ns(), to_ns(request.time_limit))
        except AsyncVLAError as error:
            response.termination, response.text = Result.TERMINATION_REJECTED, str(error)
            return response
        finally:
            self._order.let_next()
            self._executor.wake()
        while not task.has_ended:
            self._wait(task)
        self._say(task)
        response.termination, response.text = task.termination, task.text
        return response

    def _say(self, task: TaskRun) -> None:
        self._node.get_logger().info(f"task {task.instruction!r} has ended: {task.text}")

    def _wait(self, task: TaskRun) -> None:
        self._tasks.wait(task, POLL)
        self._tasks.check_limit(task, self._now_ns())

    def _feedback(self, task: TaskRun) -> Any:
        elapsed_ns = max(0, self._now_ns() - task.began_ns)
        feedback = RunTask.Feedback(mean_confidence=task.confidence, chunks=task.chunks)
        feedback.elapsed = to_duration(elapsed_ns)
        feedback.progress = min(1.0, elapsed_ns / task.limit_ns) if task.limit_ns else float("nan")
        return feedback

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _spin(self) -> None:
        """Spin until the shutdown, also after a callback that raised: the other tasks must still end."""
        while True:
            try:
                return self._executor.spin()
            except ExternalShutdownException:
                return
            except Exception:
                self._node.get_logger().error(f"a callback of the tasks failed:\n{traceback.format_exc()}")


def _key(handle: ServerGoalHandle) -> bytes:
    return bytes(handle.goal_id.uuid)


def _becomes_canceling(handle: ServerGoalHandle) -> bool:
    """Wait until the goal may be canceled: rclpy marks it only after the callback that ended its task."""
    deadline = time.monotonic() + MARK_S
    while not handle.is_cancel_requested and time.monotonic() < deadline:
        time.sleep(0.001)
    return handle.is_cancel_requested
