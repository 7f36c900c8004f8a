"""Writes the snapshots anew: `python -m tests.mailer.regenerate`; look at the difference before it is kept."""

from __future__ import annotations

from streams.mailer.rendering import texts_of
from tests.mailer.notices import CATALOGUE
from tests.mailer.test_mails import SNAPSHOTS


def main() -> None:
    """One file a mail."""
    SNAPSHOTS.mkdir(exist_ok=True)
    for name, notice in CATALOGUE.items():
        subject, plain, _ = texts_of(notice)
        (SNAPSHOTS / f"{name}.txt").write_text(f"Subject: {subject}\n\n{plain}", encoding="utf-8")


if __name__ == "__main__":
    main()
