"""Logs of every process: text for people, or one JSON object a line for machines (`QUARTERHOUR_LOG_FORMAT`).

A JSON line has `time` (UTC), `level`, `logger`, `message`, `process` (which of ours), `pid`, and `trace_id` and
`exception` when there is one. Set up once, by each process's composition root.
"""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from schemas.settings import LogFormat
from schemas.traces import current_trace_id

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`; never more than one line."""
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": self._process,
            "pid": record.process,
        }
        if trace_id := current_trace_id():
            content["trace_id"] = trace_id
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


def configuration(process: str, form: LogFormat, level: str = "INFO") -> dict[str, Any]:
    """For `logging.config.dictConfig`: everything to stderr in this form."""
    formatter: dict[str, Any] = {"format": TEXT} if form == "text" else {"()": JsonLines, "process": process}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"chosen": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chosen", "stream": "ext://sys.stderr"}},
        "root": {"level": level, "handlers": ["stderr"]},
    }


def set_up(process: str, form: LogFormat, level: str = "INFO") -> None:
    """Log to stderr from here on; in JSON also the exception that ends the process."""
    logging.config.dictConfig(configuration(process, form, level))
    if form == "json":
        sys.excepthook = _tell_last


def _tell_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("quarterhour").critical("ended by an error", exc_info=(kind, error, trace))


def tell_crash(where: str) -> None:
    """Tell of the exception at hand, at once, by whoever is about to end the process."""
    if any(isinstance(handler.formatter, JsonLines) for handler in logging.root.handlers):
        logging.getLogger("quarterhour").critical("stopping after an error (%s)", where, exc_info=True)
    else:
        sys.stderr.write(f"quarterhour: stopping after an error ({where})\n")
        traceback.print_exc()
    sys.stderr.flush()
