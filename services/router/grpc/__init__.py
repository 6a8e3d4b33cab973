"""What the router answers over gRPC."""

import os

# grpcio would stop its threads around every fork of the embedded platform, whose children never use
# it: they are other programs. It reads this when it is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
