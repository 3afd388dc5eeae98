"""How often a training's fields are drawn, by a clock that is told the time."""

from __future__ import annotations

import pytest

from winner_ns.viewing.allowance import Allowance

PACE = 10
"""Steps a second."""


def drawn(cost: float, seconds: int, asked=()) -> "list[float]":
    """When the fields are drawn anew during a training, looked at every tenth of a second; a user asks for something at
    some times, too. Each drawing takes the processor for so many seconds."""
    allowance, times = Allowance(now=0.0), []
    for tenth in range(10 * seconds):
        now = tenth / 10
        allowance.pass_until(now, trains=True)
        if allowance.may_follow(round(PACE * now)):
            allowance.follow(round(PACE * now))
            times.append(now)
            allowance.take(cost)
        elif now in asked:
            allowance.take(cost)
    return times


@pytest.mark.parametrize("cost", [0.2, 1.5, 6.0])
def test_drawing_takes_a_twentieth_of_a_long_training(cost):
    times = drawn(cost, 3000)
    assert 0.045 < len(times) * cost / 3000 < 0.055


def test_a_training_is_seen_to_begin():
    """By the time that the first picture has been paid for, others have been drawn, each of a state with three times
    the steps."""
    first = [time for time in drawn(1.5, 120) if time <= 1.5 * 20]
    assert len(first) >= 3 and all(after >= 3 * before for before, after in zip(first, first[1:]))


def test_whoever_has_asked_for_much_still_sees_the_training_go_on():
    asked = {float(second) for second in range(100, 160)}
    times = drawn(1.5, 400, asked)
    assert any(160 < time < 230 for time in times)


def test_what_stands_still_is_drawn_at_once():
    allowance = Allowance(now=0.0)
    allowance.pass_until(100.0, trains=True)
    allowance.follow(1000)
    for _ in range(3):
        allowance.take(2.0)
    assert not allowance.may_refine() and not allowance.may_follow(1001)
    allowance.pass_until(100.1, trains=False)
    assert allowance.may_refine() and allowance.may_follow(1001)
