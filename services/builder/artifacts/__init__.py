"""What is said about an image, kept and pushed beside it: few, small, and the same each time."""

from services.builder.artifacts.artifact import Artifact, artifacts_of, manifest_of
from services.builder.artifacts.provenance import Made
from services.builder.artifacts.sbom import bill

__all__ = ["Artifact", "Made", "artifacts_of", "bill", "manifest_of"]
