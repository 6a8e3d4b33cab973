"""The one image that a node cannot do without, made here: a process that waits, to hold a pod."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.beds.bases import architecture
from tests.beds.debian import program

SOURCE = "int pause(void); int main(void) { for (;;) pause(); }"
KIND = "application/vnd.oci.image."


def write(archive: Path, name: str) -> None:
    """As an OCI archive of one layer."""
    raw = _layer()
    packed = gzip.compress(raw, mtime=0)
    config = _json(
        architecture=architecture(),
        os="linux",
        config={"Entrypoint": ["/pause"]},
        rootfs={"type": "layers", "diff_ids": [_digest(raw)]},
    )
    manifest = _json(
        schemaVersion=2,
        mediaType=KIND + "manifest.v1+json",
        config=_told(KIND + "config.v1+json", config),
        layers=[_told(KIND + "layer.v1.tar+gzip", packed)],
    )
    named = {"annotations": {"io.containerd.image.name": name}}
    whole = _told(KIND + "manifest.v1+json", manifest) | named
    index = _json(schemaVersion=2, manifests=[whole])
    files = {"oci-layout": _json(imageLayoutVersion="1.0.0"), "index.json": index}
    for blob in (config, packed, manifest):
        files["blobs/" + _digest(blob).replace(":", "/")] = blob
    with tarfile.open(archive, "w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _layer() -> bytes:
    made = io.BytesIO()
    with tempfile.TemporaryDirectory() as name, tarfile.open(fileobj=made, mode="w") as tar:
        target = Path(name) / "pause"
        compiler = program("gcc", "gcc", "libc6-dev")
        command = [compiler, "-static", "-Os", "-s", "-o", str(target), "-xc", "-"]
        subprocess.run(command, input=SOURCE.encode(), check=True)
        tar.add(target, "pause")
    return made.getvalue()


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _told(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
