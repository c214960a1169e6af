import signal
import subprocess
import sys

STARTED = """
import asyncio
from cli.ending import terminate_as_interrupt

async def run():
    try:
        print("started", flush=True)
        await asyncio.sleep(60)
    finally:
        print("stopped", flush=True)

terminate_as_interrupt()
try:
    asyncio.run(run())
finally:
    print("removed", flush=True)
"""


def test_what_is_told_to_terminate_stops_and_removes_what_it_started() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTED], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "started\n"
        run.send_signal(signal.SIGTERM)
        assert run.stdout.read().splitlines() == ["stopped", "removed"]
