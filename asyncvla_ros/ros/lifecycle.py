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

# Longest time that a woken thread waits for one that computes [s]; Python's default is 5 ms.
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
        #: Whether a transition failed for a known reason, which was logged.
        self.is_refused = False

    def configure(self) -> None:
        """Check parameters and create everything; closing ``resources`` undoes it."""
        raise NotImplementedError

    def activate(self) -> None:
        """Start to act."""
        raise NotImplementedError

    def deactivate(self) -> None:
        """Stop acting. May be called when nothing is active."""
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run ``configure``; after a failure release what it created."""
        self.is_configuring = True
        result = self._guarded("configure", self.configure)
        self.is_configuring = False
        if result is not TransitionCallbackReturn.SUCCESS:
            self.teardown()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers, then run ``activate``."""
        super().on_activate(state)
        result = self._guarded("activate", self.activate)
        self.is_active = result is TransitionCallbackReturn.SUCCESS
        if not self.is_active:
            self._guarded("deactivate", self.deactivate)
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run ``deactivate``, then disable the publishers."""
        self.is_active = False
        result = self._guarded("deactivate", self.deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tear down."""
        return self._guarded("clean up", self.teardown)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tear down from any state."""
        return self._guarded("shut down", self.teardown)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tear down after an unexpected error, so that the node can be configured again."""
        return self._guarded("recover from an error", self.teardown)

    def teardown(self) -> None:
        """Stop acting and release everything ``configure`` created. Idempotent."""
        if self.is_active:
            self.is_active = False
            self.deactivate()
        for publisher in self.publishers:
            # The last message, often a hold, may still be on its way: with the publisher it would be lost.
            publisher.wait_for_all_acked(LAST_WORD_TIMEOUT)
        self.resources.close()

    def start(self) -> bool:
        """Configure and activate. Return False, with the reason logged, if that fails."""
        self.is_refused, success = False, TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def subscribe(self, kind: type, topic: str, callback: Callable[..., None], qos: QoSProfile) -> None:
        """Subscribe until the teardown."""
        subscription = self.create_subscription(kind, topic, callback, qos)
        self.resources.callback(self.destroy_subscription, subscription)

    def subscribe_raw(
        self, kind: type, topic: str, callback: Callable[[bytes], None], qos: QoSProfile
    ) -> None:
        """Subscribe to serialized messages, as they came, until the teardown."""
        subscription = self.create_subscription(kind, topic, callback, qos, raw=True)
        self.resources.callback(self.destroy_subscription, subscription)

    def destroy_node(self) -> None:
        """Destroy the node and its state machine, whose shared memory would outlive the process."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def on_clock_set_back(self, action: Callable[[], None]) -> None:
        """Call ``action`` whenever the node clock jumps back, until the teardown."""
        backward = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        handle = self.get_clock().create_jump_callback(backward, post_callback=lambda _: action())
        self.resources.callback(handle.unregister)

    def advertise(self, kind: type, topic: str, qos: QoSProfile, events: Any = None) -> Any:
        """Create a publisher that lives until the teardown and publishes while the node is active."""
        publisher: Any = self.create_lifecycle_publisher(kind, topic, qos, event_callbacks=events)
        self.resources.callback(self.destroy_lifecycle_publisher, publisher)
        return publisher

    def _guarded(self, what: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except (AsyncVLAError, OSError) as error:
            # An OSError is a full disk or a file without permission, not a bug.
            self.is_refused = True
            self.get_logger().error(f"cannot {what}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"cannot {what}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS


def run_node(create: Callable[[], ManagedNode]) -> NoReturn:
    """Run a node until SIGINT or SIGTERM, deactivate it, tear it down, and end the process.

    Exit code: 0 after a signal; 1 if the node failed; 2 if its parameters are wrong; 3 if it was to start by
    itself and what it was given (checkpoint, contract, drivers) does not fit. After 2 and 3 starting it again
    does not help.

    The signals are handled here rather than by rclpy, which would close the context at once: a controller
    could not send its last hold.

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
    waker.settimeout(0.0)
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
        """Begin no more callbacks; return whether the thread has ended within ``timeout`` [s]."""
        self._is_stopping = True
        self._executor.create_task(lambda: None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Release the executor of a thread that has ended."""
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
