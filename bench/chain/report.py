"""What the runs say, as tables for people and as JSON for programs; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from bench.chain.measure import Run
from bench.chain.statistics import spread

MIB = 2**20
TELEGRAF = "telegraf"


def groups(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Put the repetitions of a run together."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.subject, []).append(run)
    return found


def medians(runs: Sequence[Run], name: str) -> dict[str, float]:
    """Give the medians of one of a run's mappings, key by key.

    Args:
        runs: at least one.
        name: ``latency``, ``cpu`` or ``memory``.
    """
    keys = {key: None for run in runs for key in getattr(run, name)}
    return {key: spread([getattr(run, name).get(key, 0.0) for run in runs])[1] for key in keys}


def rates(runs: Iterable[Run]) -> Table:
    """Make the table of rates and latencies."""
    table = Table(title="Publish to committed row visible: medians of the runs, least to greatest in brackets")
    for heading in ("what", "runs", "messages/s", "readings/s", "p50 ms", "p99 ms", "CPU of everything, s a million"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for subject, same in groups(runs).items():
        least, middle, most = spread([run.messages_per_second for run in same])
        latency = medians(same, "latency")
        everything = spread([sum(run.cpu.values()) for run in same])[1]
        table.add_row(
            subject,
            str(len(same)),
            f"{middle:,.0f} ({least:,.0f} to {most:,.0f})",
            f"{spread([run.readings_per_second for run in same])[1]:,.0f}",
            *(f"{latency[key] * 1000:,.0f}" if key in latency else "" for key in ("p50", "p99")),
            f"{everything:.0f}",
        )
    return table


def costs(runs: Iterable[Run]) -> Table:
    """Make the table of processor time and memory, a column for each kind of run."""
    found = groups(runs)
    table = Table(title="Processor seconds a million messages, and memory (PSS, MiB) at the end; medians")
    table.add_column("process")
    for subject in found:
        table.add_column(subject, justify="right")
    cpu = {subject: medians(same, "cpu") for subject, same in found.items()}
    memory = {subject: medians(same, "memory") for subject, same in found.items()}
    for process in sorted({key for each in cpu.values() for key in each}):
        table.add_row(process, *(_cell(cpu[subject].get(process), memory[subject].get(process)) for subject in found))
    return table


def _cell(cpu: float | None, memory: float | None) -> str:
    if cpu is None:
        return ""
    return f"{cpu:.1f}" + (f" · {memory / MIB:.0f}" if memory else "")


def ratio(runs: Iterable[Run]) -> dict[str, float]:
    """Compare the chain with Telegraf, where both ran in turn.

    Returns:
        ``rate`` (above 1: the chain is faster) and ``cpu`` (below 1: it takes less of everything but the generator); empty where
        one of them did not run.
    """
    found = groups(runs)
    theirs = [same for subject, same in found.items() if subject.startswith(TELEGRAF) and not same[0].load.rate]
    ours = [same for subject, same in found.items() if subject.startswith("chain") and not same[0].load.rate]
    if not theirs or not ours:
        return {}
    return {
        "rate": _rate(ours[0]) / _rate(theirs[0]),
        "cpu": _cpu(ours[0]) / _cpu(theirs[0]),
    }


def _rate(runs: Sequence[Run]) -> float:
    return spread([run.messages_per_second for run in runs])[1]


def _cpu(runs: Sequence[Run]) -> float:
    return spread([sum(used for name, used in run.cpu.items() if name != "generator") for run in runs])[1]


def as_json(runs: Sequence[Run], options: Mapping[str, Any], machine: Mapping[str, str]) -> dict[str, Any]:
    """Give everything for ``--report``."""
    return {"machine": dict(machine), "options": dict(options), "against": ratio(runs), "runs": [asdict(run) for run in runs]}
