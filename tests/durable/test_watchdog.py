"""A partition that stands still with records waiting is noticed; one that moves, or has nothing to do, is not."""

from __future__ import annotations

from streams.durable.watchdog import Watchdog


def test_standing_still_before_the_end_is_noticed_after_so_many_looks() -> None:
    watchdog = Watchdog(stuck_looks=3)
    assert [watchdog.observe({0: 5, 1: 7}, {0: 9, 1: 7}) for _ in range(5)] == [[], [], [], [0], [0]]


def test_any_move_and_any_moment_without_work_starts_the_count_anew() -> None:
    watchdog = Watchdog(stuck_looks=3)
    looks = [(5, 9), (5, 9), (5, 9), (6, 9), (6, 9), (6, 9), (6, 6), (6, 9), (6, 9), (6, 9)]
    assert [watchdog.observe({0: position}, {0: end}) for position, end in looks] == [[]] * len(looks)
    assert watchdog.observe({0: 6}, {0: 9}) == [0]


def test_a_recovery_may_take_longer_and_not_for_ever() -> None:
    watchdog = Watchdog(stuck_looks=1, recovery_looks=4)
    assert [watchdog.observe({0: None}, {0: 9}) for _ in range(5)] == [[], [], [], [], [0]]


def test_a_partition_that_was_away_is_looked_at_afresh() -> None:
    watchdog = Watchdog(stuck_looks=1)
    assert watchdog.observe({0: 5}, {0: 9}) == []
    assert watchdog.observe({}, {}) == []
    assert watchdog.observe({0: 5}, {0: 9}) == []
    assert watchdog.observe({0: 5}, {0: 9}) == [0]
