"""The log: structured lines on stderr, as text or as JSON, including those of libraries."""

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

from monitor.config import redact

# These libraries repeat what driftd logs itself, or log addresses that contain tokens.
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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(format)],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


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


def _renderer(format: Literal["text", "json"]) -> Processor:
    if format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
