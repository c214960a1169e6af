"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from deploy.local.instance import CHECKOUT


def facts() -> dict[str, str]:
    """Give the machine's facts and the version that was measured; no name of the machine and no path of it."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown",
        "cores": str(os.cpu_count()),
        "memory": f"{int(_field(Path('/proc/meminfo'), 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "system": _field(Path("/etc/os-release"), "PRETTY_NAME", "=").strip('"') or platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "python_loop": f"{_loop_seconds() * 1000:.0f} ms",
        "commit": _commit(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _loop_seconds() -> float:
    """Time a fixed loop of dictionaries and strings, the fastest of five: hosts differ, and so do builds of one Python."""
    fastest = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(100):
            named = {number: f"{number}x" for number in range(3_000)}
            [number for number in named if named[number].endswith("9x")]
        fastest = min(fastest, time.perf_counter() - begun)
    return fastest


def _field(path: Path, name: str, separator: str = ":") -> str:
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(separator)[2].strip() for line in lines if line.startswith(name)), "")


def _commit() -> str:
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return said.stdout.strip() or "unknown"
