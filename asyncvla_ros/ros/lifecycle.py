"""Base of the lifecycle nodes, and the ``main`` they share.

rclpy swallows exceptions of transition callbacks: without this class a failed configure says nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NoReturn

import rclpy
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from asyncvla_ros.ros.exit_codes import REFUSED, WRONG_PARAMETERS
from asyncvla_ros.ros.middleware import keep_image_memory
from asyncvla_ros.types import AsyncVLAError

# So long a woken thread waits at most for one that computes [s]; Python's own choice is 5 ms.
SWITCH_INTERVAL = 0.0005
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long the callback in progress may take before the node is deactivated beside it [s].
CALLBACK_TIMEOUT = 0.2
# How long callbacks may take to end before the process ends anyway [s]; ros2 launch waits five in all.
STOP_TIMEOUT = 4.0
# How long each publisher waits for its subscribers to take its last message.
LAST_WORD_TIMEOUT = Duration(seconds=0.3)


class ManagedNode(LifecycleNode):
    """A lifecycle node whose subclass writes plain methods: ``configure``, ``activate``, ``deactivate``.

    What they raise is logged: an AsyncVLAError or OSError as its message (the transition fails, the node
    stays as it was), anything else with its traceback (the node is torn down and unconfigured). Whatever
    ``configure`` creates it puts on ``resources``, so there is one teardown; calling it twice does no harm.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.resources = ExitStack()
        self.is_active = self.is_configuring = False
        #: Whether a transition failed for a reason that is known, and told.
        self.is_refused = False

    def configure(self) -> None:
        """Checks parameters and creates everything; undone by closing ``resources``."""
        raise NotImplementedError

    def activate(self) -> None:
        """Starts to act."""
        raise NotImplementedError

    def deactivate(self) -> None:
        """Stops to act; may be called when nothing is active."""
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs ``configure``; after a failure nothing of it is left."""
        self.is_configuring = True
        result = self._guarded("configure", self.configure)
        self.is_configuring = False
        if result is not TransitionCallbackReturn.SUCCESS:
            self.teardown()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enables the publishers, then runs ``activate``."""
        super().on_activate(state)
        result = self._guarded("activate", self.activate)
        self.is_active = result is TransitionCallbackReturn.SUCCESS
        if not self.is_active:
            self._guarded("deactivate", self.deactivate)
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs ``deactivate``, then disables the publishers."""
        self.is_active = False
        result = self._guarded("deactivate", self.deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tears down."""
        return self._guarded("clean up", self.teardown)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tears down from any state."""
        return self._guarded("shut down", self.teardown)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tears down after an unexpected error; the node can be configured again."""
        return self._guarded("recover from an error", self.teardown)

    def teardown(self) -> None:
        """Stops acting and releases everything ``configure`` created. Idempotent."""
        if self.is_active:
            self.is_active = False
            self.deactivate()
        for publisher in self.publishers:
            # The last message, often a hold, may still be on its way: with the publisher it would be lost.
            publisher.wait_for_all_acked(LAST_WORD_TIMEOUT)
        self.resources.close()

    def start(self) -> bool:
        """Configures and activates; False, with the reason logged, if that fails."""
        self.is_refused, success = False, TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def subscribe(self, kind: type, topic: str, callback: Callable[..., None], qos: QoSProfile) -> None:
        """A subscription that lives until the teardown."""
        subscription = self.create_subscription(kind, topic, callback, qos)
        self.resources.callback(self.destroy_subscription, subscription)

    def subscribe_raw(
        self, kind: type, topic: str, callback: Callable[[bytes], None], qos: QoSProfile
    ) -> None:
        """A subscription that takes messages as they came, serialized; it lives until the teardown."""
        subscription = self.create_subscription(kind, topic, callback, qos, raw=True)
        self.resources.callback(self.destroy_subscription, subscription)

    def destroy_node(self) -> None:
        """Also lets go of the state machine, which would keep the node's shared memory beyond the process."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def on_clock_set_back(self, action: Callable[[], None]) -> None:
        """Calls ``action`` whenever the node clock jumps back, until the teardown."""
        backward = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        handle = self.get_clock().create_jump_callback(backward, post_callback=lambda _: action())
        self.resources.callback(handle.unregister)

    def advertise(self, kind: type, topic: str, qos: QoSProfile, events: Any = None) -> Any:
        """A publisher that publishes while the node is active and lives until the teardown."""
        publisher: Any = self.create_lifecycle_publisher(kind, topic, qos, event_callbacks=events)
        self.resources.callback(self.destroy_lifecycle_publisher, publisher)
        return publisher

    def _guarded(self, what: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except (AsyncVLAError, OSError) as error:
            # Of the operating system: a disk that is full, a file that may not be read.
            self.is_refused = True
            self.get_logger().error(f"cannot {what}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"cannot {what}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS


def run_node(create: Callable[[], ManagedNode]) -> NoReturn:
    """Runs a node until SIGINT or SIGTERM; deactivates and tears it down, then ends the process.

    Exit code: 0 after a signal, 1 if the node failed, 2 if its parameters are wrong, 3 if it was to start by
    itself and what it was given (checkpoint, contract, drivers) does not fit: to start it again is no help.

    Signals are waited for here rather than left to rclpy, which would close the context at once: a controller
    could not send its last hold any more.

    Args:
        create: Makes the node; it has a boolean parameter ``autostart``.
    """
    code = _run(create)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is released; Python's own end takes seconds once torch is loaded, and ros2 launch waits five.
    os._exit(code)


def _run(create: Callable[[], ManagedNode]) -> int:
    keep_image_memory()
    sys.setswitchinterval(SWITCH_INTERVAL)
    # Any thread may be the one a signal hits; the wake-up descriptor brings it here all the same.
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = create()
    except (AsyncVLAError, ParameterException) as error:
        rclpy.logging.get_logger("asyncvla_ros").fatal(str(error))
        rclpy.shutdown()
        return WRONG_PARAMETERS
    spinner = _Spinner(node, lambda: waker.send(b"\0"))
    woken.recv(1)
    has_ended = spinner.stop(CALLBACK_TIMEOUT)
    if node.is_active:
        node.trigger_deactivate()
    if not (has_ended or spinner.stop(STOP_TIMEOUT)):
        # Tearing down what a callback still works with would crash; the process ends as it is.
        if node.is_configuring:
            node.get_logger().info("interrupted while it was configured")
            return 0
        node.get_logger().fatal(f"a callback did not end within {STOP_TIMEOUT:g} s")
        return 1
    spinner.close()
    node.teardown()
    node.destroy_node()
    rclpy.try_shutdown()
    return spinner.exit_code


class _Spinner:
    """Runs a node's callbacks in a thread of its own, from now until it is told to stop.

    ``Executor.shutdown`` does not wait for a callback in progress: it takes away what the executor wakes up
    by, and one that begins or ends just then raises. So the thread is ended first, between two callbacks.

    Args:
        node: Started first if its parameter ``autostart`` says so.
        on_end: Called by the thread as its last act.
    """

    def __init__(self, node: ManagedNode, on_end: Callable[[], object]):
        self.exit_code, self._is_stopping = 0, False
        self._node, self._on_end = node, on_end
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Whether the thread has ended, after ``timeout`` [s] at most; no callback begins any more."""
        self._is_stopping = True
        self._executor.create_task(lambda: None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Releases the executor of a thread that has ended."""
        self._executor.shutdown()

    def _spin(self) -> None:
        try:
            if self._node.get_parameter("autostart").value and not self._node.start():
                self.exit_code = REFUSED if self._node.is_refused else 1
                return
            while self._node.context.ok() and not self._is_stopping:
                self._executor.spin_once()
        except ExternalShutdownException:
            pass
        except Exception:
            self._node.get_logger().fatal(f"the node ended:\n{traceback.format_exc()}")
            self.exit_code = 1
        finally:
            self._on_end()
