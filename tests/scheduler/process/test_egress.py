"""The way out of a replica."""

from __future__ import annotations

from tests.scheduler.targets import Target


async def test_a_replica_is_told_of_the_way_out_and_finds_it(apart: Target) -> None:
    script = (
        "import urllib.request, urllib.error\n"
        "try: urllib.request.urlopen('http://127.1.2.3:9/', timeout=10)\n"
        "except urllib.error.HTTPError as error: print(error.code, flush=True)\n"
        "import time; time.sleep(600)\n"
    )
    work = await apart.made("python", "ask.py", code={"ask.py": script}, readiness="none")
    await apart.started(work)
    assert await apart.texts(work.replica, 1) == ["403"]
