"""The cluster's storage: folders of this machine, for whoever claims a volume of the class `testbed`,
which is the one that claims have by default. `python -m tests.beds.kubernetes.volumes`.

Any access mode will do, since there is one node. A folder goes with its claim.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import Any, Final

from tests.beds.kubernetes import api
from tests.beds.kubernetes.api import Refused
from tests.beds.kubernetes.place import RUN

CLASS: Final = "testbed"
EVERY: Final = 0.5  # seconds
VOLUMES: Final = "/api/v1/persistentvolumes"
CLAIMS: Final = "/api/v1/persistentvolumeclaims"
CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"


def declare() -> bool:
    """Whether it is there now."""
    metadata = {"name": CLASS, "annotations": {DEFAULT: "true"}}
    with suppress(Refused):  # it may be there
        api.call("POST", CLASSES, {"metadata": metadata, "provisioner": "slipway.dev/testbed"})
    return api.answers(f"{CLASSES}/{CLASS}")


def look() -> None:
    """Makes what is claimed and removes what is no longer. Raises Refused."""
    for claim in api.call("GET", CLAIMS)["items"]:
        if claim["status"]["phase"] == "Pending" and claim["spec"].get("storageClassName") == CLASS:
            with suppress(Refused):  # made before, and about to be bound
                api.call("POST", VOLUMES, volume(claim))
    for made in api.call("GET", VOLUMES)["items"]:
        if made["spec"].get("storageClassName") == CLASS and made["status"]["phase"] == "Released":
            name = made["metadata"]["name"]
            api.call("DELETE", f"{VOLUMES}/{name}")
            shutil.rmtree(RUN / "volumes" / name, ignore_errors=True)


def volume(claim: dict[str, Any]) -> dict[str, Any]:
    name = f"for-{claim['metadata']['uid']}"
    folder = RUN / "volumes" / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)  # ownership by group is not for folders of a node
    whose = {key: claim["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "metadata": {"name": name},
        "spec": {
            "storageClassName": CLASS,
            "capacity": claim["spec"]["resources"]["requests"],
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **whose},
            "hostPath": {"path": str(folder)},
        },
    }


def main() -> None:
    declared = False
    while True:
        with suppress(Refused):  # while the API server is away nothing is claimed
            if not declared:
                declared = declare()
            look()
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
