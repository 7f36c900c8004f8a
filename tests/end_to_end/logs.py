"""Made-up logs for the whole pipeline: months of talk with every boundary, from a printed seed."""

from __future__ import annotations

import random

from scripts.replay.source import Message

START = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE


def months_of_talk(seed: int, conversations: int = 700, days: int = 120) -> list[Message]:
    """Messages of 40 users in 3 workspaces; gaps of exactly 15:00 and a microsecond to either side are common.

    120 days, so that the free credit of every workspace lapses (C3) with something left, in the middle of use.
    """
    print(f"months_of_talk seed={seed}")
    chance = random.Random(seed)
    messages: list[Message] = [Message(n + 1, f"ws-{n}", "first", START, None, 0) for n in range(3)]
    for _ in range(conversations):
        workspace, user = f"ws-{chance.randrange(3)}", f"user {chance.randrange(40)}"
        time = START + chance.randrange(days * 24 * 60) * MINUTE
        for _ in range(chance.randrange(1, 9)):
            messages.append(Message(len(messages) + 1, workspace, user, time, chance.randrange(200), 0))
            time += chance.choice((MINUTE, 7 * MINUTE, 15 * MINUTE - 1, 15 * MINUTE, 15 * MINUTE + 1))
    return messages
