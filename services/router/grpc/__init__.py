"""What the router answers over gRPC."""
