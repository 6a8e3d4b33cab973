"""Files of people's in buckets, `s3://bucket/key`, at the one place that the operator names.

No address in a URI leads elsewhere, and a login is the operator's for that place alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from shared.errors import Invalid, Transient

CHUNK: Final = 1 << 20


ALL: Final = "*"


class Buckets:
    """`endpoint` is the URL of a service that speaks S3; "" when there is none to read from.

    `allowed` are the projects, as `owner/name` or ALL, that may have a bucket read for them.
    """

    def __init__(
        self,
        endpoint: str,
        region: str = "",
        key: str = "",
        secret: str = "",
        allowed: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._endpoint = endpoint
        self._allowed = allowed
        self._region = region or "us-east-1"
        self._login = (key, secret)

    async def stream(self, uri: str, project: str) -> AsyncIterator[bytes]:
        """Its bytes. Raises Invalid for what is not there or not for `project` to read, and
        Transient for trouble."""
        bucket, path = place(uri)
        if not self._endpoint:
            raise Invalid("", "this platform reads no buckets; its operator has to set S3_ENDPOINT")
        if not {project, ALL} & set(self._allowed.get(bucket, ())):
            said = f"the bucket {bucket[:100]} is not open to {project}; its operator has to"
            raise Invalid("", f"{said} name it in S3_BUCKETS")
        try:
            found = await obstore.get_async(self._store(bucket), path)
            async for chunk in found.stream(CHUNK):
                yield bytes(chunk)
        except (FileNotFoundError, obstore.exceptions.NotFoundError) as error:
            raise Invalid("", f"{uri[:200]} is not there") from error
        except (
            obstore.exceptions.PermissionDeniedError,
            obstore.exceptions.UnauthenticatedError,
        ) as error:
            raise Invalid("", f"{uri[:200]} may not be read with the platform's login") from error
        except (OSError, obstore.exceptions.BaseError) as error:
            raise Transient(f"{uri[:200]}: {type(error).__name__}") from error

    def _store(self, bucket: str) -> S3Store:
        key, secret = self._login
        login = {"access_key_id": key, "secret_access_key": secret} if key else {}
        return S3Store(
            bucket,
            endpoint=self._endpoint,
            region=self._region,
            virtual_hosted_style_request=False,
            skip_signature=not key,
            client_options={"allow_http": self._endpoint.startswith("http:"), "timeout": "60s"},
            **login,  # type: ignore[arg-type]
        )


def place(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. Raises Invalid for another kind of address."""
    found = urlsplit(uri)
    key = found.path.removeprefix("/")
    if found.scheme != "s3" or not found.netloc or not key or found.query or found.fragment:
        raise Invalid("", f"{uri[:200]!r} is not of the form s3://bucket/key")
    return found.netloc, key
