"""The rule of restarts, as a table and without a clock."""

import pytest

from scripts.stack.restarts import CrashHistory, RestartPolicy


def test_delays_double_from_half_a_second_to_fifteen() -> None:
    history = CrashHistory(RestartPolicy())
    assert [history.crashed(float(at), 0) for at in range(9)] == [0.5, 1, 2, 4, 8, 15, 15, 15, 15]


def test_tenth_crash_within_five_minutes_is_the_last() -> None:
    history = CrashHistory(RestartPolicy())
    outcomes = [history.crashed(at * 30.0, 10) for at in range(10)]
    assert outcomes[-1] is None
    assert None not in outcomes[:-1]


def test_crashes_spread_over_more_than_the_window_never_give_up() -> None:
    history = CrashHistory(RestartPolicy())
    assert all(history.crashed(at * 40.0, 25) is not None for at in range(100))


@pytest.mark.parametrize(("healthy_seconds", "delay"), [(59.9, 4), (60.0, 0.5)])
def test_a_minute_of_healthy_life_forgives_all(healthy_seconds: float, delay: float) -> None:
    history = CrashHistory(RestartPolicy())
    for at in range(3):
        history.crashed(float(at), 0)
    assert history.crashed(100, healthy_seconds) == delay
