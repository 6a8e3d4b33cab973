"""What the gateway costs: beside the same runtime, asked directly with grpcio."""

from benchmarks.gateway.figures import measure

__all__ = ["measure"]
