"""How much of a training's time drawing takes, so that the training keeps its pace and the pictures follow it."""

from __future__ import annotations

from dataclasses import dataclass, field

from winner_ns.working_time import working_time

SHARE = 1 / 20
"""The part of the program's working time that drawing takes, counted as the time that the thread which draws works. Of
the clock's seconds, a training gets fewer where processors are shared, and drawing would take more of them."""
AHEAD = 1.0
"""What makes a picture finer where the camera comes to rest is drawn if no more seconds than these have been taken
ahead of their time; what a user asks for always is."""
MOST = 2.0
"""No more seconds than these, or than a single drawing takes, are made up for."""
OUTDATED, SHARE_AT_FIRST = 3, 1 / 4
"""A state of the fields that has seen one of so many steps is replaced before its time has come, as pictures change
most at first, unless drawing it has taken this part of the time since."""


@dataclass
class Allowance:
    """Of one browser's drawing while fields are trained."""

    now: float = field(default_factory=working_time)
    """Working time until which it is counted."""
    ahead: float = 0.0
    """Seconds of drawing that the training has not had its own part of the time for yet."""
    spent: float = 0.0
    """Seconds of drawing since the fields were last taken anew."""
    followed: float = -1e9
    """Working time at which the fields were last taken anew."""
    step: int = 0
    """Steps of the training after which the fields were last taken anew."""

    def pass_until(self, now: float, trains: bool) -> None:
        """Time has passed, in which the fields were trained or were not."""
        self.ahead = max(self.ahead - SHARE * (now - self.now), 0.0) if trains else 0.0
        self.now = now

    def take(self, seconds: float) -> None:
        """Something was drawn."""
        self.ahead = min(self.ahead + seconds, max(MOST, seconds))
        self.spent += seconds

    def may_refine(self) -> bool:
        """Whether the picture may be made finer."""
        return self.ahead <= AHEAD

    def may_follow(self, step: int) -> bool:
        """Whether the fields may be drawn anew, as they are after so many steps."""
        outdated = step >= OUTDATED * self.step and self.spent <= SHARE_AT_FIRST * (self.now - self.followed)
        return self.ahead <= 0.0 or outdated

    def follow(self, step: int) -> None:
        """The fields are drawn as they are now, after so many steps."""
        self.step, self.spent, self.followed = step, 0.0, self.now
