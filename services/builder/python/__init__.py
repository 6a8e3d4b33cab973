"""Third-party packages for one Python: read, locked with hashes, installed, and made portable."""
