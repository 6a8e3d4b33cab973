from __future__ import annotations

import subprocess
import sys

REQUESTS = 200
PROGRAM = """
import resource, sys
from shared import heap

if sys.argv[1] == "kept":
    heap.keep()

def request():
    return [bytes(1 << 16) for _ in range(128)]  # 8 MiB of the heap, and all of it goes

request()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(int(sys.argv[2])):
    request()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", PROGRAM, how, str(REQUESTS)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def test_memory_of_one_request_serves_the_next_without_a_fault() -> None:
    pages = REQUESTS * (8 << 20) // 4096
    assert faults("kept") < pages // 20
    assert faults("given back") > pages // 4, "there is nothing to keep here any more"
