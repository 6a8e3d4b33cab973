"""A runtime as people write it after Hydrosphere's tutorial: grpcio, and messages generated here.

It has nothing of ours: it reads /model/contract.protobin, calls the function of func_main.py that
the contract names with TensorProto messages, and knows no `Status`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PROTOS = Path(__file__).parents[3] / "shared" / "protos"


def make(folder: Path) -> Path:
    """Put the runtime with its generated messages into `folder`; its program is `main.py`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("main.py", "runtime.py", "requirements.txt", "Dockerfile"):
        shutil.copy(HERE / name, folder / name)
    files = sorted(str(path) for path in (PROTOS / "hydro_serving_grpc").rglob("*.proto"))
    command = (sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTOS}")
    subprocess.run(
        (*command, f"--python_out={folder}", f"--grpc_python_out={folder}", *files), check=True
    )
    return folder
