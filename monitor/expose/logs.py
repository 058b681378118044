"""The log: structured lines on stderr, as text or as JSON, including those of libraries.

A record is one line, whatever it holds: an exception's traceback too, and what threads and warnings leave behind.
"""

import logging
import sys
import threading
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from monitor.config import redact
from monitor.escape import SENTENCE, bounded, json_text, sentence, shortened, trace

# These libraries repeat what driftd logs itself, or log addresses that contain tokens.
_TRACES = ("exception", "stack")      # several lines by nature
_LEVELS = {"apscheduler": logging.ERROR, "urllib3": logging.ERROR, "uvicorn": logging.ERROR}


def configure(format: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Send all logging to stderr in this form; may be called again to change it."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = _ToStderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(format)],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at that moment: it may have been put elsewhere since, and closed."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _redact(logger: Any, method: str, event: EventDict) -> EventDict:
    """Remove passwords and tokens from addresses, as a second safeguard: secrets should not be logged at all."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    return value


def _log_thread(left: threading.ExceptHookArgs) -> None:
    if left.exc_value is not None and not isinstance(left.exc_value, SystemExit):
        logging.getLogger(__name__).error("A thread ended by an exception.", exc_info=left.exc_value)


def _rendered(format: Literal["text", "json"]) -> tuple[Processor, ...]:
    if format == "json":
        return (structlog.processors.JSONRenderer(serializer=_as_json),)
    return _on_one_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)


def _as_json(event: EventDict, **_: Any) -> str:
    """JSON escapes what acts by itself, so that texts are exact when read; exceptions are bounded by themselves."""
    told = {key: trace(value, exact=True) if key in _TRACES else bounded(_plain(value), SENTENCE)
            for key, value in event.items()}
    return json_text(told)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _on_one_line(logger: Any, method: str, event: EventDict) -> EventDict:
    """Texts without signs that act. Tracebacks get a name that the renderer gives no lines of their own."""
    return {f"{key}_trace" if key in _TRACES else key: trace(value) if key in _TRACES else _contained(value)
            for key, value in event.items()}


def _contained(value: Any) -> Any:
    """Lists, dictionaries and records are written by their `repr`, which escapes what acts."""
    if isinstance(value, str):
        return sentence(value)
    return value if value is None or isinstance(value, int | float) else shortened(repr(value), SENTENCE)
