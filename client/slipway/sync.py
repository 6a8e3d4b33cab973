"""`Client`: the same calls without asyncio.

Each is AsyncClient's own, run in a loop on a thread of the client, so it also works where a loop
runs already (a notebook). One client may be used from several threads.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from slipway.client import AsyncClient

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slipway", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C in the caller's thread ends the work too
            future.cancel()
            raise

    def close(self) -> None:
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _call(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(method(self._client, *args, **kwargs))

    return call


def _stream(
    method: Callable[Concatenate[AsyncClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[Client, P], Generator[T, None, None]]:
    @functools.wraps(method)
    def stream(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        items = method(self._client, *args, **kwargs)
        try:
            while True:
                try:
                    yield self._run(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            self._run(_close(items))

    return stream


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _close(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


class Client:
    """The platform, synchronously. Open it with `with`. See AsyncClient for what each call does."""

    def __init__(
        self, url: str | None = None, token: str | None = None, project: str | None = None
    ) -> None:
        self._client = AsyncClient(url, token, project)
        self._loop: _Loop | None = None

    def __enter__(self) -> Self:
        self._loop = _Loop()
        self._loop.run(self._client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.run(self._client.__aexit__())
            self._loop.close()
            self._loop = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise RuntimeError("use the client inside `with`")
        return self._loop.run(work)

    whoami = _call(AsyncClient.whoami)
    owners = _call(AsyncClient.owners)
    create_owner = _call(AsyncClient.create_owner)
    projects = _call(AsyncClient.projects)
    create_project = _call(AsyncClient.create_project)
    tokens = _call(AsyncClient.tokens)
    create_token = _call(AsyncClient.create_token)
    revoke_token = _call(AsyncClient.revoke_token)

    upload = _call(AsyncClient.upload)
    upload_bundle = _call(AsyncClient.upload_bundle)
    fetch = _call(AsyncClient.fetch)
    create_source = _call(AsyncClient.create_source)
    source = _call(AsyncClient.source)
    sources = _call(AsyncClient.sources)
    deploy = _call(AsyncClient.deploy)
    wait_for_version = _call(AsyncClient.wait_for_version)
    running = _call(AsyncClient.running)
    deployments = _call(AsyncClient.deployments)
    deployment = _call(AsyncClient.deployment)
    create_deployment = _call(AsyncClient.create_deployment)
    ensure_deployment = _call(AsyncClient.ensure_deployment)
    versions = _call(AsyncClient.versions)
    version = _call(AsyncClient.version)
    create_version = _call(AsyncClient.create_version)
    cancel_version = _call(AsyncClient.cancel_version)
    review_version = _call(AsyncClient.review_version)
    build_log = _call(AsyncClient.build_log)
    follow_build_log = _stream(AsyncClient.follow_build_log)
    aliases = _call(AsyncClient.aliases)
    alias = _call(AsyncClient.alias)
    set_alias = _call(AsyncClient.set_alias)
    rollback_alias = _call(AsyncClient.rollback_alias)

    create_endpoint = _call(AsyncClient.create_endpoint)
    review_endpoint = _call(AsyncClient.review_endpoint)
    jobs = _call(AsyncClient.jobs)
    job = _call(AsyncClient.job)
    find_job = _call(AsyncClient.find_job)
    wait_for_job = _call(AsyncClient.wait_for_job)
    stop = _call(AsyncClient.stop)
    restart = _call(AsyncClient.restart)
    scale = _call(AsyncClient.scale)
    wait_for_copies = _call(AsyncClient.wait_for_copies)
    terminate = _call(AsyncClient.terminate)
    connection = _call(AsyncClient.connection)
    sbom = _call(AsyncClient.sbom)
    provenance = _call(AsyncClient.provenance)
    logs = _call(AsyncClient.logs)
    follow_logs = _stream(AsyncClient.follow_logs)
    build_log_of = _call(AsyncClient.build_log_of)
    follow_build_log_of = _stream(AsyncClient.follow_build_log_of)

    run = _call(AsyncClient.run)
    run_of_job = _call(AsyncClient.run_of_job)
    series = _call(AsyncClient.series)
    stop_series = _call(AsyncClient.stop_series)
    terminate_series = _call(AsyncClient.terminate_series)
    wait_for_series = _call(AsyncClient.wait_for_series)
    save_outputs = _call(AsyncClient.save_outputs)
    outputs = _call(AsyncClient.outputs)

    apply = _call(AsyncClient.apply)
    submit_resources = _call(AsyncClient.submit_resources)
    wait_for_resources = _call(AsyncClient.wait_for_resources)
    models = _call(AsyncClient.models)
    model = _call(AsyncClient.model)
    model_versions = _call(AsyncClient.model_versions)
    model_version = _call(AsyncClient.model_version)
    model_profile = _call(AsyncClient.model_profile)
    model_log = _call(AsyncClient.model_log)
    follow_model_log = _stream(AsyncClient.follow_model_log)
    applications = _call(AsyncClient.applications)
    application = _call(AsyncClient.application)
    remove_application = _call(AsyncClient.remove_application)
    sample_inputs = _call(AsyncClient.sample_inputs)
    predict = _call(AsyncClient.predict)
    gateway_url = _call(AsyncClient.gateway_url)
    servables = _call(AsyncClient.servables)
    servable = _call(AsyncClient.servable)
    create_servable = _call(AsyncClient.create_servable)
    configurations = _call(AsyncClient.configurations)
    configuration = _call(AsyncClient.configuration)
    remove_configuration = _call(AsyncClient.remove_configuration)

    usage = _call(AsyncClient.usage)
    usage_csv = _call(AsyncClient.usage_csv)
    statement = _call(AsyncClient.statement)
    statement_csv = _call(AsyncClient.statement_csv)
    budget = _call(AsyncClient.budget)
    set_budget = _call(AsyncClient.set_budget)
    remove_budget = _call(AsyncClient.remove_budget)

    why = _call(AsyncClient.why)
    queue = _call(AsyncClient.queue)
    quotas = _call(AsyncClient.quotas)
    set_quota = _call(AsyncClient.set_quota)
    remove_quota = _call(AsyncClient.remove_quota)
    allowance = _call(AsyncClient.allowance)
    set_allowance = _call(AsyncClient.set_allowance)

    gpus = _call(AsyncClient.gpus)
    targets = _call(AsyncClient.targets)
    events = _call(AsyncClient.events)
    follow_events = _stream(AsyncClient.follow_events)
