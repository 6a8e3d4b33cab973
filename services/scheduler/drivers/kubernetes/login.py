"""Who we are to a cluster, and how we know that it is the right one.

The only file that uses kubernetes_asyncio: it reads kubeconfig files and the credentials of pods
as kubectl does, exec plugins included. Requests are ours, since its models are slow and large, and
its timeouts, watches and retries are not what we need.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import yaml
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config

from services.scheduler.drivers.kubernetes.errors import Denied
from shared.errors import Permanent

SOON: Final = 30.0  # seconds that a plugin may take to log in


class Login:
    def __init__(self, kubeconfig: str, context: str) -> None:
        """`kubeconfig` "" is for pods: their service account's; `context` "" the current one."""
        self._kubeconfig = kubeconfig
        self._context = context
        self._known = Configuration()
        self._loading = asyncio.Lock()
        self.ssl: ssl.SSLContext | bool = True
        self.times = 0  # that credentials were loaded

    @property
    def host(self) -> str:
        """The API server's URL, without a slash at its end."""
        return str(self._known.host).rstrip("/")

    @property
    def server_name(self) -> str | None:
        """The name that its certificate has, when another than the URL's."""
        return self._known.tls_server_name or None

    @property
    def proxy(self) -> str | None:
        return self._known.proxy or None

    async def headers(self) -> dict[str, str]:
        """What says who we are. A pod's token is read again each minute."""
        try:
            found = await self._known.get_api_key_with_prefix("BearerToken")
        except (ConfigException, OSError) as error:
            raise Denied(f"the credentials can't be read: {error}") from error
        return {"Authorization": found.strip()} if found else {}

    async def begin(self) -> None:
        """Raises Permanent when there is nothing to log in with."""
        try:
            await self._load()
        except Denied as error:
            raise Permanent(str(error)) from error

    async def again(self, seen: int) -> None:
        """Load anew, once for all who were refused with what was loaded as number `seen`."""
        async with self._loading:
            if self.times == seen:
                await self._load()

    async def _load(self) -> None:
        known = Configuration()
        try:
            async with asyncio.timeout(SOON):
                if self._kubeconfig:
                    await load_kube_config(
                        config_file=self._kubeconfig,
                        context=self._context or None,
                        client_configuration=known,
                        persist_config=False,
                    )
                else:
                    load_incluster_config(client_configuration=known)  # type: ignore[no-untyped-call]
            context = _context(known) if str(known.host).startswith("https") else True
        except TimeoutError as error:
            raise Denied("logging in took too long") from error
        except (
            *(ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError),
            *(AssertionError, yaml.YAMLError),
        ) as error:
            raise Denied(f"the credentials can't be used: {error}") from error
        self._known, self.ssl = known, context
        self.times += 1


def _context(known: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=known.ssl_ca_cert)
    # what kubectl takes: authorities may be short of what Python 3.13 began to ask for
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if known.cert_file:
        context.load_cert_chain(known.cert_file, keyfile=known.key_file)
    if not known.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
