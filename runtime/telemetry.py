"""Telemetry from one place: an ``Event`` is a log line and, where it counts something, its metric.

A room declares its events in its ``events.py``; nobody else logs. Labels come from closed sets, never from a patient or device.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from runtime.settings import ProcessSettings

Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
EVENTS: dict[str, Event] = {}
"""Every declared event by name; the reference table and the conformance tests are made of it."""
METRICS: dict[str, tuple[str, str, tuple[str, ...]]] = {}
"""Every declared metric by name: kind, help, labels."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened, told once.

    Attributes:
        name: ``<room>.<noun>_<past verb>``.
        level: error: data lost or a human needed; warning: recovered; info: life cycle; debug: per batch.
        help: what it means to an operator, and what to do.
        counter: Prometheus counter raised by ``amount``, ``agora_<room>_<noun>_total``; empty where nothing is counted.
        labels: labels of the counter, from closed sets.
        quiet: True where only the metric is wanted, for what happens thousands of times a second.
    """

    name: str
    level: Level = "info"
    help: str
    counter: str = ""
    labels: tuple[str, ...] = ()
    quiet: bool = False
    _counter: Counter | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name in EVENTS:
            raise ValueError(f"event {self.name} is declared twice")
        EVENTS[self.name] = self
        if self.counter:
            METRICS[self.counter] = ("counter", self.help, self.labels)
            object.__setattr__(self, "_counter", Counter(self.counter, self.help, self.labels))

    def emit(self, amount: float = 1, **fields: object) -> None:
        """Log the event and raise its counter.

        Args:
            amount: how much to count.
            fields: what to log beside; those named in ``labels`` label the counter.
        """
        if self._counter is not None:
            counter = self._counter.labels(*(str(fields[label]) for label in self.labels)) if self.labels else self._counter
            counter.inc(amount)
        if not self.quiet:
            if self._counter is not None and amount != 1:
                fields["amount"] = amount
            structlog.get_logger().log(_LEVELS[self.level], self.name, **fields)


def gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Gauge:
    """Declare a gauge, so that the reference table knows it."""
    METRICS[name] = ("gauge", help_text, labels)
    return Gauge(name, help_text, labels)


LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, 600.0)


def histogram(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Histogram:
    """Declare a histogram of seconds."""
    METRICS[name] = ("histogram", help_text, labels)
    return Histogram(name, help_text, labels, buckets=LATENCY_BUCKETS)


REPEAT_SECONDS = 10.0


class _Sparing(logging.Filter):
    """Lets a library say the same thing once in ten seconds: aiokafka writes thousands of lines a second while Kafka is away."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if len(self._said) > 1000:
            self._said.clear()
        key = (record.name, str(record.msg))
        last = self._said.get(key)
        if last is not None and record.created - last < REPEAT_SECONDS:
            return False
        self._said[key] = record.created
        return True


def start(settings: ProcessSettings, process: str) -> None:
    """Configure logging for a process and serve its metrics.

    Args:
        settings: level, format and metrics port.
        process: name put on every line.
    """
    renderer: Any = structlog.processors.JSONRenderer() if settings.log_format == "json" else structlog.dev.ConsoleRenderer()
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_Sparing())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.metrics_host)
