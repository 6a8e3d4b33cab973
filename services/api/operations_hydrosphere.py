"""The part of the table of operations that is about models and applications."""

from __future__ import annotations

from typing import Final

from services.api import applications, configurations, models, resources, servables
from services.api.operation import Operation, get, post
from services.api.types import Empty, Following, LogLine, Page, Paging
from services.api.types_hydrosphere import (
    Application,
    ApplicationSummary,
    Changes,
    DeploymentConfiguration,
    ModelSummary,
    ModelVersion,
    NewDefinitions,
    NewServable,
    Servable,
)
from services.api.types_profiles import ModelProfile

P: Final = "/v1/projects/{owner}/{project}"

MODELS: Final = (
    post(
        P + "/resources",
        resources.apply,
        "Apply Hydrosphere's resource definitions: all of them, or none",
        Changes,
        body=NewDefinitions,
        refusals=(409, 429),
    ),
    get(
        P + "/models",
        models.index,
        "Models and the newest version of each, oldest model first",
        Page[ModelSummary],
        query=Paging,
    ),
    get(P + "/models/{model}", models.show, "One model", ModelSummary),
    get(
        P + "/models/{model}/versions",
        models.versions,
        "Versions of a model, newest first",
        Page[ModelVersion],
        query=Paging,
    ),
    get(
        P + "/models/{model}/versions/{version}",
        models.version,
        "A version of a model, and its contract",
        ModelVersion,
    ),
    post(
        P + "/models/{model}/versions/{version}/cancel",
        models.version_cancel,
        "Cancel the build of a version; it fails, and so do the servables that wait for it",
        ModelVersion,
        body=Empty,
        may_omit_body=True,
        refusals=(409,),
    ),
    get(
        P + "/models/{model}/versions/{version}/logs",
        models.version_logs,
        "The build's log, newest first; as a stream, oldest first",
        Page[LogLine],
        query=Following,
        streams=True,
        refusals=(503,),
    ),
    get(
        P + "/models/{model}/versions/{version}/profile",
        models.version_profile,
        "What a version is asked and answers, beside its training data",
        ModelProfile,
    ),
    get(
        P + "/applications",
        applications.index,
        "Applications, oldest first",
        Page[ApplicationSummary],
        query=Paging,
    ),
    get(
        P + "/applications/{application}",
        applications.show,
        "One application: what answers, what is to answer, and how to call it",
        Application,
    ),
    Operation(
        method="DELETE",
        path=P + "/applications/{application}",
        handler=applications.remove,
        role="write",
        summary="Remove an application; its servables end, its models stay",
        status=204,
    ),
    get(
        P + "/applications/{application}/generate-inputs",
        applications.inputs,
        "A request that the application takes, made of its contract",
        applications.Sample,
        refusals=(409,),
    ),
    get(
        P + "/configurations",
        configurations.index,
        "Deployment configurations, oldest first",
        Page[DeploymentConfiguration],
        query=Paging,
    ),
    get(
        P + "/configurations/{configuration}",
        configurations.show,
        "One deployment configuration",
        DeploymentConfiguration,
    ),
    Operation(
        method="DELETE",
        path=P + "/configurations/{configuration}",
        handler=configurations.remove,
        role="write",
        summary="Remove a deployment configuration; servables keep what they were made with",
        status=204,
    ),
    post(
        P + "/servables",
        servables.make,
        "Have a model version answer by itself",
        Servable,
        body=NewServable,
        status=201,
    ),
    get(
        P + "/servables",
        servables.index,
        "Servables, newest first",
        Page[Servable],
        query=Paging,
    ),
    get(P + "/servables/{servable}", servables.show, "One servable", Servable),
    get(
        P + "/servables/{servable}/generate-inputs",
        servables.inputs,
        "A request that the servable takes, made of its contract",
        applications.Sample,
        refusals=(409,),
    ),
)
