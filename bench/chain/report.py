"""What the runs say, as tables for people and as JSON for programs; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from bench.chain.runs import SEARCHING, Run, Searched
from bench.chain.statistics import percentiles, spread

MIB = 2**20
TELEGRAF = "telegraf"
BESIDE = ("generator", "app's consumer", "app's searches")
"""Processes that are measured and are not of the platform."""


def tables(runs: Sequence[Run]) -> list[Table]:
    """Make all tables for which something was measured."""
    made = (rates(runs), costs(runs), received(runs), searched(runs))
    return [table for table in made if table is not None]


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
    return spread([sum(used for name, used in run.cpu.items() if name not in BESIDE) for run in runs])[1]


def received(runs: Iterable[Run]) -> Table | None:
    """Make the table of what the app's consumer saw; None where no app took part."""
    found = {subject: [run.received for run in same if run.received] for subject, same in groups(runs).items()}
    if not any(found.values()):
        return None
    table = Table(title="Publish to an app's consumer seeing the record: medians of the runs; ids as the consents allow")
    for heading in ("what", "runs", "records", "records/s", "p50 ms", "p95 ms", "p99 ms", "repeats"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for subject, same in found.items():
        if same:
            latency = {key: spread([one.latency[key] for one in same])[1] for key in ("p50", "p95", "p99")}
            table.add_row(
                subject,
                str(len(same)),
                f"{spread([one.records for one in same])[1]:,.0f}",
                f"{spread([one.records_per_second for one in same])[1]:,.0f}",
                *(f"{seconds * 1000:,.0f}" for seconds in latency.values()),
                f"{spread([one.repeats for one in same])[1]:,.0f}",
            )
    return table


def searched(runs: Iterable[Run]) -> Table | None:
    """Make the table of the app's searches, all runs of a kind together; None where none were made."""
    found = {subject: [run.searched for run in same if run.searched] for subject, same in groups(runs).items()}
    if not any(found.values()):
        return None
    table = Table(title="FHIR searches while messages come: from when one was due to its answer; processor time of each")
    for heading in ("what", "search", "searches", "p50 ms", "p99 ms", "gateway CPU ms", "PostgreSQL CPU ms"):
        table.add_column(heading, justify="left" if heading in ("what", "search") else "right")
    for subject, same in found.items():
        kinds = by_kind(same)
        for kind, seconds in kinds.items():
            table.add_row(subject, kind, *_times(seconds))
        everything = [one for seconds in kinds.values() for one in seconds]
        if everything:
            spent = (sum(one.gateway_cpu for one in same), sum(one.database_cpu for one in same))
            table.add_row(subject, "all", *_times(everything), *(f"{cpu / len(everything) * 1000:.1f}" for cpu in spent))
    return table


def _times(seconds: Sequence[float]) -> tuple[str, str, str]:
    counted = percentiles([(one, 1) for one in seconds])
    return str(len(seconds)), f"{counted['p50'] * 1000:,.0f}", f"{counted['p99'] * 1000:,.0f}"


def by_kind(same: Iterable[Searched]) -> dict[str, list[float]]:
    """Put the searches of several runs together: seconds by kind, without kinds that were not made."""
    found: dict[str, list[float]] = {}
    for one in same:
        for kind, seconds in one.seconds.items():
            if seconds:
                found.setdefault(kind, []).extend(seconds)
    return found


def searching(runs: Iterable[Run]) -> dict[str, dict[str, float]]:
    """Compare each run with its like in which an app searched: medians with the searches, divided by those without.

    Returns:
        By what was measured: ``messages_per_second``, ``p50`` and ``p99`` from publish to row, ``cpu`` a message of the platform;
        empty where nothing ran both ways.
    """
    found = groups(runs)
    return {
        subject: {"messages_per_second": _rate(found[subject + SEARCHING]) / _rate(same)}
        | {
            key: medians(found[subject + SEARCHING], "latency")[key] / medians(same, "latency")[key]
            for key in ("p50", "p99")
            if medians(same, "latency").get(key)
        }
        | {"cpu": _cpu(found[subject + SEARCHING]) / _cpu(same)}
        for subject, same in found.items()
        if subject + SEARCHING in found
    }


def growth(runs: Iterable[Run]) -> list[str]:
    """Tell in a line for each long run how far memory was from flat: from the first full minute to the last."""
    return [
        f"memory, {run.subject}, minute 1 to {len(run.by_minute)}: "
        + ", ".join(f"{name} {size / MIB:+.0f} MiB" for name, size in run.grown.items())
        for run in runs
        if run.grown
    ]


def circumstances(runs: Iterable[Run]) -> list[str]:
    """Tell in a line for each kind of run what the database had or did, where there is something: history, checkpoints."""
    told = []
    for subject, same in groups(runs).items():
        least, _, most = spread([run.history for run in same])
        checkpoints = sum(run.checkpoints for run in same)
        parts = [f"{least:,.0f} rows in the day's chunk beforehand"] if most else []
        parts += [f"{checkpoints} checkpoints in {sum(run.seconds for run in same):.0f} s"] if checkpoints else []
        if parts:
            told.append(f"{subject}: {', '.join(parts)}")
    return told


def as_json(
    runs: Sequence[Run], options: Mapping[str, Any], machine: Mapping[str, str], rounds: int, is_finished: bool
) -> dict[str, Any]:
    """Give everything for ``--report``.

    Args:
        runs: so far.
        options: what was asked for.
        machine: its facts.
        rounds: that are complete; their runs are all here.
        is_finished: whether nothing more is to come.
    """
    return {
        "machine": dict(machine),
        "options": dict(options),
        "finished": is_finished,
        "rounds": {"complete": rounds, "wanted": options["rounds"]},
        "against": ratio(runs),
        "searching": searching(runs),
        "runs": [asdict(run) for run in runs],
    }
