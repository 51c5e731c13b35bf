"""Structured logs: one line per event, as text for people or JSON for machines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}


def configure_logging(format: Literal["text", "json"], level: str) -> None:
    """Send all logs to standard error. Called by the server, never at import."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON; its extras are members."""
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, message, then extras as ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line, with a traceback below it if there is one."""
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        parts = [time, record.levelname.lower(), _one_line(record.getMessage())]
        parts += [f"{name}={_one_line(str(value))}" for name, value in _extras(record).items()]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _one_line(text: str) -> str:
    """Control characters escaped: what a client sends must not forge lines of the log."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
