"""A simulation from its seed to its verdict.

Some time of trouble, in which jobs come, owners change their minds and things go wrong; then calm, in
which all that is wanted has to come about; then everything is stopped, and nothing may be left.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from services.scheduler.driver import Gpu
from shared.database.jobs import advance, scale
from shared.database.pool import Connection, _prepare
from shared.endpoint import Command, Definition, Endpoint, Gpus
from shared.events import (
    Event,
    JobFact,
    JobQueued,
    JobRestarted,
    JobScaled,
    JobStopping,
    JobTerminated,
)
from tests.saved import Table, put_back, saved
from tests.simulation import plan as plans
from tests.simulation.clock import BEGINS
from tests.simulation.line import Line, Server
from tests.simulation.plan import (
    Backup,
    GpuGone,
    Jump,
    Kill,
    Order,
    Pause,
    Plan,
    Restore,
    Submit,
    Tell,
    Vanish,
)
from tests.simulation.process import COUNT, LOOK, TARGET, Faults, Process
from tests.simulation.referee import Held, Record, Row, Said, judge, races
from tests.simulation.target import Machines

CALM: Final = 400.0  # seconds in which what is wanted has to come about
RESTLESS: Final = 30_000  # lines of a trace, of which some hundreds are usual
NEWS: Final = Event(
    id="e",
    source="/",
    type=JobQueued.type,
    subject="j",
    time=BEGINS,
    data=msgspec.Raw(b"{}"),
)
SQL: Final = {path.stem: path.read_text() for path in (Path(__file__).parent / "sql").glob("*.sql")}
FACTS: Final[dict[str, type[JobFact]]] = {
    "stop": JobStopping,
    "restart": JobRestarted,
    "terminate": JobTerminated,
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    wrong: list[str]
    trace: list[str]
    placed: int  # how often GPUs were given
    raced: int  # stops that met a job between its place and its start

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


class World:
    def __init__(self, plan: Plan, session: asyncpg.Connection[asyncpg.Record]) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._chance = random.Random(f"world {plan.seed}")
        self._trace: list[str] = []
        self._who = "world"
        self._server = Server(session, self._tell)
        self._machines = Machines(plan.gpus, random.Random(f"machines {plan.seed}"))
        self._people = Process("people", Faults(), random.Random(f"people {plan.seed}"))
        self._database = Line(self._server, self._people).database()
        self._schedulers: list[Process] = []
        self._processes: list[Process] = []  # all there were, in order
        self._backup: list[Table] = []
        self._saved_at = 0.0
        self._lost: tuple[float, float] | None = None
        self._count = 0
        self._later: set[asyncio.Task[None]] = set()
        self._jobs: list[Submit] = []
        self._wrong: list[str] = []
        self._faults = plan.faults

    async def run(self) -> Verdict:
        await self._prepare()
        self._machines.gpus = list(self._plan.gpus)
        for _ in range(2):
            self._spawn()
        for act in self._plan.acts:
            await asyncio.sleep(max(0.0, act.at - self._loop.time()))
            self._tell(f"{act}")
            await self._act(act)
        await asyncio.sleep(max(0.0, plans.CHAOS - self._loop.time()))
        await self._calm()
        await self._until_quiet("what is wanted has not come about", SQL["unsettled"])
        await self._twice()
        await self._end()
        record = await self._record()
        await self._close()
        return Verdict(
            seed=self._plan.seed,
            wrong=[*self._wrong, *self._server.wrong, *judge(record)],
            trace=self._trace,
            placed=len(record.held),
            raced=races(record.said),
        )

    # what happens

    async def _act(self, act: object) -> None:
        match act:
            case Submit():
                await self._submit(act)
            case Order(job=job, what=what):
                await self._order(job, what)
            case Kill(acting=acting, back_after=seconds):
                if self._schedulers:
                    await self._kill(self._schedulers[0 if acting else -1], seconds)
            case Pause(seconds=seconds, deposed=deposed) if self._schedulers:
                self._do(self._pause(self._schedulers[0], seconds, deposed))
            case Vanish(number=number, trace=trace):
                running = sorted(self._machines.workloads)
                for replica in running if number < 0 else running[number : number + 1]:
                    self._machines.lose(replica, trace=trace)
            case GpuGone(number=number, seconds=seconds):
                self._do(self._without(self._plan.gpus[number], seconds))
            case Backup():
                await self._save()
            case Restore(back_after=seconds, forgotten=forgotten):
                await self._restore(seconds, forgotten=forgotten)
            case Jump(seconds=seconds):
                self._server.offset += seconds
            case Tell():
                await self._news()

    async def _submit(self, job: Submit) -> None:
        endpoint = Endpoint(
            name="predict",
            format="valohai",
            entry=Command(lines=("serve",)),
            port=8000,
            readiness="listening",
            gpus=Gpus(types=job.types, count=job.gpus, max_price=job.max_price),
        )
        definition = Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,))
        values = (
            job.job,
            job.owner,
            definition,
            {"predict": "sha256:" + "1" * 64},
            list(job.types),
            job.gpus,
            job.copies,
            job.gang,
            job.priority,
            job.preemptible,
            job.max_price,
            job.run_at_most,
            job.start_by,
        )
        async with self._database.transaction() as connection:
            await connection.execute(SQL["submit"], *values)
            await advance(connection, JobQueued(job=job.job))
        self._jobs.append(job)
        await self._perhaps_news()

    async def _order(self, job: str, what: str) -> None:
        row = await self._database.row("SELECT id, attempt FROM jobs WHERE id = $1", job)
        if row is None:
            return
        async with self._database.transaction() as connection:
            await self._ask(connection, row["id"], row["attempt"], what)
        await self._perhaps_news()

    async def _ask(self, connection: Connection, job: Any, attempt: int, what: str) -> bool:
        if what.isdigit():
            return await scale(connection, JobScaled(job=job, attempt=attempt, copies=int(what)))
        return await advance(connection, FACTS[what](job=job, attempt=attempt))

    async def _kill(self, process: Process, seconds: float) -> None:
        self._schedulers.remove(process)
        await process.kill()
        self._elect()
        self._do(self._back(seconds))

    async def _back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._spawn()

    async def _pause(self, process: Process, seconds: float, deposed: bool) -> None:
        process.moving.clear()
        if deposed:
            await asyncio.sleep(seconds / 2)
            self._depose(process)
            await asyncio.sleep(seconds / 2)
        else:
            await asyncio.sleep(seconds)
        process.moving.set()

    def _depose(self, process: Process) -> None:
        """PostgreSQL takes it for dead: another acts, and it will hear of that later on."""
        if process in self._schedulers:
            self._schedulers.remove(process)
            process.deposed = True
            self._elect()
            self._do(self._told(process))

    async def _told(self, process: Process) -> None:
        await process.moving.wait()
        await asyncio.sleep(self._chance.choice((0.0, 0.5, 3.0)))
        process.stopping.set()
        await process.ended()
        if process.broken is not None:
            self._wrong.append(f"{process.name} broke: {process.broken!r}")
        if process.alive:
            self._spawn()

    async def _save(self) -> None:
        self._saved_at = self._loop.time()
        async with self._server.gate:
            self._backup = await self._server.ask(lambda session: saved(session))

    async def _restore(self, seconds: float, *, forgotten: bool) -> None:
        """What was begun since is unknown from then on, and may still be running."""
        async with self._server.gate:
            for process in self._processes:  # those that stand still, too
                await process.kill()
            self._schedulers.clear()
            await self._server.ask(lambda session: put_back(session, self._backup))
        rows = await self._database.fetch("SELECT id FROM jobs")
        known = {row["id"] for row in rows}
        self._jobs = [job for job in self._jobs if job.job in known]
        if forgotten:
            self._machines.ended.clear()
        self._lost = self._saved_at, self._loop.time() + seconds
        for _ in range(2):
            self._do(self._back(seconds))

    async def _without(self, gpu: Gpu, seconds: float) -> None:
        self._machines.gpus = [each for each in self._machines.gpus if each != gpu]
        await asyncio.sleep(seconds)
        if gpu not in self._machines.gpus:
            self._machines.gpus.append(gpu)

    async def _perhaps_news(self) -> None:
        for _ in range(self._chance.choice((0, 1, 1, 2))):
            await asyncio.sleep(self._chance.choice((0.0, 0.1)))
            await self._news()

    async def _news(self) -> None:
        if self._schedulers:
            await self._schedulers[0].hear(NEWS)

    # schedulers

    def _spawn(self) -> None:
        self._count += 1
        name = f"scheduler-{self._count}"
        chance = random.Random(f"{name} {self._plan.seed}")
        process = Process(name, self._faults, chance)
        self._schedulers.append(process)
        self._processes.append(process)
        self._elect()

    def _elect(self) -> None:
        """The eldest holds the lock."""
        if self._schedulers and not self._schedulers[0].acts:
            self._schedulers[0].run(self._server, self._machines, self._tell_as)

    # the end

    async def _calm(self) -> None:
        """Nothing goes wrong any more, and what did is over."""
        self._tell("calm")
        while self._later:
            await asyncio.wait(self._later)
        self._faults = Faults(slow=0.01)
        self._server.offset = max(self._server.offset, 0.0)
        for process in self._schedulers:
            process.faults = self._faults
        await asyncio.sleep(COUNT + LOOK)

    async def _until_quiet(self, trouble: str, query: str) -> None:
        deadline = self._loop.time() + CALM
        while found := [row["what"] for row in await self._database.fetch(query)]:
            if self._loop.time() > deadline or len(self._trace) > RESTLESS:
                self._wrong += [f"{trouble}: {what}" for what in found]
                return
            await asyncio.sleep(5.0)

    async def _twice(self) -> None:
        """Looking again where nothing has changed writes nothing."""
        await asyncio.sleep(LOOK + 1.0)  # the last of what was new has been seen
        before = await self._written()
        await asyncio.sleep(2 * LOOK + 1.0)
        for what, _ in sorted(await self._written() - before):
            self._wrong.append(f"a second look wrote {what}")

    async def _written(self) -> set[tuple[str, str]]:
        rows = await self._database.fetch(SQL["written"])
        return {(row["what"], row["version"]) for row in rows}

    async def _end(self) -> None:
        self._tell("end")
        for job in self._jobs:
            row = await self._database.row("SELECT id, attempt FROM jobs WHERE id = $1", job.job)
            if row is not None:
                async with self._database.transaction() as connection:
                    await self._ask(connection, row["id"], row["attempt"], "stop")
        await self._until_quiet("not ended", SQL["unended"])

    async def _close(self) -> None:
        for process in self._schedulers:
            await process.kill()
            if process.broken is not None:
                self._wrong.append(f"{process.name} broke: {process.broken!r}")
        await self._machines.close()

    # what is kept

    async def _prepare(self) -> None:
        await self._database.execute(SQL["clear"])
        await self._database.execute(SQL["owners"], list(plans.OWNERS))
        for owner, kind, nominal, borrow, cohort in self._plan.quotas:
            await self._database.execute(SQL["quota"], owner, TARGET, kind, nominal, borrow, cohort)

    async def _record(self) -> Record:
        said = await self._database.fetch(SQL["said"])
        held = await self._database.fetch(SQL["held"])
        rows = await self._database.fetch("SELECT id, state, attempt, reason FROM jobs ORDER BY id")
        names = {gpu.device: gpu.id for gpu in self._plan.gpus}
        return Record(
            accepted=[job.job for job in self._jobs],
            said=msgspec.convert([dict(row) for row in said], list[Said]),
            held=msgspec.convert([dict(row) for row in held], list[Held]),
            rows=msgspec.convert([dict(row) for row in rows], list[Row]),
            uses=[msgspec.structs.replace(use, gpu=names[use.gpu]) for use in self._machines.uses],
            began=BEGINS,
            jumped=any(isinstance(act, Jump) for act in self._plan.acts),
            lost=self._lost,
        )

    def _do(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _tell(self, what: str) -> None:
        self._trace.append(f"{self._loop.time():10.4f} {what}")

    def _tell_as(self, name: str, what: str) -> None:
        self._tell(f"{name}: {what}")


async def simulate(seed: int, session: asyncpg.Connection[asyncpg.Record]) -> Verdict:
    random.seed(seed)
    return await World(plans.plan(seed), session).run()


async def connect(url: str, spoil: str = "") -> asyncpg.Connection[asyncpg.Record]:
    session = await asyncpg.connect(
        url,
        max_cached_statement_lifetime=0,  # else it sets timers
        server_settings={"jit": "off", "plan_cache_mode": "force_generic_plan"},
    )
    await _prepare(session)
    if spoil:
        await session.execute(spoil)
    return session


async def tidy(session: asyncpg.Connection[asyncpg.Record]) -> None:
    await session.execute(SQL["clear"])
    await session.execute("VACUUM events, logs, allocations, jobs, gpus, versions")
