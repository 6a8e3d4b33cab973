"""What people might send, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from services.api.types import (
    MoveAlias,
    NewDeployment,
    NewOwner,
    NewProject,
    NewToken,
    NewVersion,
    RollBack,
    Scale,
)
from services.api.types_billing import NewBudget
from services.api.types_git import NewSource
from services.api.types_hydrosphere import NewDefinitions, NewServable
from services.api.types_proximl import NewEndpoint
from services.api.types_runs import NewRun

CODE: Final = "sha256:" + "4f" * 32
MODEL: Final = "sha256:" + "9a" * 32

EXAMPLES: Final[dict[Any, Any]] = {
    NewOwner: {"name": "ruksi"},
    NewProject: {"name": "digits"},
    NewToken: {"role": "write", "note": "from the pipeline", "expires_at": "2030-01-01T00:00:00Z"},
    NewDeployment: {"name": "mnist", "target": "process"},
    NewSource: {"url": "https://git.example/ruksi/digits.git", "ref": "v1.2"},
    NewVersion: {
        "source": CODE,
        "files": {"predict-digit": {"model": MODEL}},
        "environment": {"LOG_LEVEL": "info"},
    },
    NewRun: {
        "command": "python train.py --epochs 3",
        "gpus": {"types": ["rtx3090"], "count": 1},
        "array": 4,
        "retries": 1,
        "timeout": 3600,
    },
    NewDefinitions: {
        "documents": [
            {
                "source": "serving.yaml",
                "document": {
                    "kind": "Model",
                    "name": "claims-model",
                    "runtime": "hydrosphere/serving-runtime-python-3.7:2.3.2",
                    "payload": ["src/"],
                    "contract": {
                        "name": "predict",
                        "inputs": {"amount": {"shape": "scalar", "type": "double"}},
                        "outputs": {"risk": {"shape": "scalar", "type": "double"}},
                    },
                },
                "payload": CODE,
            }
        ],
        "dry_run": True,
    },
    NewServable: {"model": "claims-model:1"},
    MoveAlias: {"version": "20261121.0"},
    Scale: {"copies": 3},
    NewBudget: {"monthly": 250, "warn": [0.5, 0.8], "hold": True},
    RollBack: {"force": False},
    NewEndpoint: {
        "name": "classify images",
        "resources": {"gpu_types": ["rtx3090"], "gpu_count": 1, "disk_size": 10},
        "model": {"source_type": "local", "source_uri": CODE},
        "endpoint": {
            "routes": [
                {
                    "verb": "POST",
                    "path": "/predict",
                    "file": "predict",
                    "function": "predict_image",
                    "positional": True,
                    "body": [{"name": "contents", "type": "str"}],
                }
            ]
        },
    },
}
