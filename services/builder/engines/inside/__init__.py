"""What an engine runs inside its sandbox: standard library only, and nothing of the platform."""
