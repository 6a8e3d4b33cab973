from __future__ import annotations

import base64
import json

import pytest

from services.scheduler.drivers.kubernetes.answers import Version
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from services.scheduler.drivers.kubernetes.terms import Terms
from shared.registry.credentials import Credentials, Login

SETTINGS = Settings(
    platform="ours",
    namespace="n",
    doorman_image="images.example/doorman@sha256:0",
    doorman_key="k" * 32,
)


class Cluster:
    def __init__(self, minor: str, *offered: str) -> None:
        self._minor = minor
        self._offered = offered

    async def version(self) -> Version:
        return Version(major="1", minor=self._minor)

    async def offers(self, api_version: str) -> frozenset[str]:
        return frozenset({"x"} if api_version in self._offered else ())


def terms(cluster: Cluster, **logins: Login) -> Terms:
    known = {name.replace("_", "."): login for name, login in logins.items()}
    return Terms(cluster, SETTINGS, Credentials(known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cluster", "autoscaling", "new"),
    [(Cluster("20"), "v1", False), (Cluster("30+", "autoscaling/v2"), "v2", True)],
)
async def test_an_old_cluster_is_asked_for_no_more_than_it_has(
    cluster: Cluster, autoscaling: str, new: bool
) -> None:
    settings, before = await terms(cluster).of("registry.example/app")
    assert settings.autoscaling == autoscaling
    assert (settings.low_ports, settings.ephemeral_volumes) == (new, new)
    assert before == ()


async def test_nodes_are_given_the_logins_that_they_need_and_no_others() -> None:
    one = terms(
        Cluster("30"),
        registry_example=Login(user="a", password="b"),
        other_example=Login(user="secret", password="secret"),
        images_example=Login(identity_token="t"),
    )
    settings, (secret,) = await one.of("registry.example/team/app")
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert settings.pull_secret == secret["metadata"]["name"]
    told = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    assert told == {
        "auths": {
            "images.example": {"identitytoken": "t"},
            "registry.example": {"auth": base64.b64encode(b"a:b").decode()},
        }
    }
