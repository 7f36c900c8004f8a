"""MAILER as a process: `python -m streams.workers.mailer`, addresses and settings from the environment."""

from __future__ import annotations

import asyncio

from schemas import logs
from schemas.errors import ConfigurationError, told_at_start
from schemas.settings import Settings
from streams.mailer.worker import EXIT_CRASHED, MailWorker, crash


async def work(settings: Settings) -> None:
    """Run one MAILER worker until it is told to stop."""
    await MailWorker(settings).run()


def main() -> None:
    """Run one MAILER worker; exits with 0 when asked to stop, 70 after an error."""
    with told_at_start(EXIT_CRASHED):
        settings = Settings()
        logs.set_up("mailer", settings.log_format)
        try:
            asyncio.run(work(settings))
        except ConfigurationError:
            raise
        except Exception:  # the process's outermost place: whatever it was, the log has it, and 70 is the code
            crash("worker")


if __name__ == "__main__":
    main()
