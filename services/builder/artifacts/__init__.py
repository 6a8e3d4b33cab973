"""What is said about an image, kept and pushed beside it: few, small, and the same each time."""

from services.builder.artifacts.artifact import Artifact, artifacts_of, manifest_of
from services.builder.artifacts.provenance import Made
from services.builder.artifacts.sbom import Part, System, bill

__all__ = ["Artifact", "Made", "Part", "System", "artifacts_of", "bill", "manifest_of"]
