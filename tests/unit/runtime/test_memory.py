import subprocess
import sys

from runtime import memory

SETTLED = "import gc; from runtime import memory; memory.settle(); print(gc.get_threshold()[0], gc.get_freeze_count() > 1000)"


def test_a_settled_process_collects_seldom_and_never_looks_at_what_it_began_with() -> None:
    # A process of its own: the collector of this one is the other tests', too.
    done = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(memory.COLLECT_AFTER), "True"]
