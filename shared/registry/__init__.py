"""The only door to image registries (OCI distribution): `client.Registries` has all of it.

Whatever a registry answers is measured before it is believed: every wait has an end, every body a
limit, every digest is computed here.
"""

from shared.registry.client import Registries
from shared.registry.credentials import Credentials
from shared.registry.errors import Damaged, Denied, MissingBlobs, NotFound
from shared.registry.hosts import are_one
from shared.registry.limits import Limits
from shared.registry.manifests import Resolved
from shared.registry.reference import Reference, parse

__all__ = [
    "Credentials",
    "Damaged",
    "Denied",
    "Limits",
    "MissingBlobs",
    "NotFound",
    "Reference",
    "Registries",
    "Resolved",
    "are_one",
    "parse",
]
