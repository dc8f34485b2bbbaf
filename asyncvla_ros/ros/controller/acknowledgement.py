"""Acknowledgement of commands: a driver that has received none cannot follow them."""

from __future__ import annotations

import time
from typing import Any

from rclpy.duration import Duration

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

# How long a command may take to be acknowledged, before the next one is sent.
ACK_TIMEOUT = Duration(seconds=0.02)
# How long to insist that it is [s]: a listener that hangs, a stopped recorder say, must not keep the arm.
ACK_DEADLINE_S = 1.0


class Acknowledgement:
    """Track whether the commands of one output reach its subscribers."""

    def __init__(self) -> None:
        self._publisher: Any = None
        #: Listeners that have come so far; counted by events, which are callbacks of the executor.
        self._joined = 0
        #: Commands that were sent.
        self.sent = 0
        #: Whether there is nothing to send before the first action: nobody knows a pose to hold.
        self.is_silent = False
        self._has_come = False

    def events(self) -> Any:
        """Return callbacks for the watched publisher, where ROS has them (since Iron)."""
        try:
            return PublisherEventCallbacks(matched=self._note_matched)
        except TypeError:
            return None

    def _note_matched(self, event: Any) -> None:
        # A driver that was restarted while nobody looked is another listener, though there are as many.
        self._joined += max(0, event.total_count_change)

    def watch(self, publisher: Any) -> None:
        """Watch a publisher from now on."""
        self._publisher = publisher
        self.restart()

    def restart(self) -> None:
        """Forget acknowledgements; present subscribers are no news."""
        self._expect(self._publisher.get_subscription_count())

    def _expect(self, listeners: int) -> None:
        self._listeners, self._known = listeners, self._joined
        self._offered_s: float | None = None
        self._is_acknowledged = False

    def take_arrival(self) -> bool:
        """Return whether a subscriber has come since the last call."""
        has_come, self._has_come = self._has_come, False
        return has_come

    @property
    def has_changed(self) -> bool:
        """Whether a subscriber has come or gone since ``restart``."""
        return self._differs(self._publisher.get_subscription_count())

    def _differs(self, count: int) -> bool:
        return self._joined > self._known or count != self._listeners

    def is_acknowledged(self) -> bool:
        """Return whether all subscribers, at least one, have a command, and none has come or gone since."""
        count = self._publisher.get_subscription_count()
        if self._differs(count):
            self._has_come |= count > self._listeners or self._joined > self._known
            self._expect(count)
        if count == 0 or self._is_acknowledged:
            return self._is_acknowledged
        if self.is_silent:
            self._is_acknowledged = True
            return True
        # A listener may be known before it knows the publisher: what is sent in between can be lost.
        if self._offered_s is None:
            self._offered_s, self._sent_before = time.monotonic(), self.sent
        elif self.sent > self._sent_before + 1:
            self._is_acknowledged = (
                self._publisher.wait_for_all_acked(ACK_TIMEOUT)
                or time.monotonic() - self._offered_s > ACK_DEADLINE_S
            )
        return self._is_acknowledged
