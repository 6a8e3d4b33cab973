"""A real Kubernetes of one node, for tests: `python -m tests.beds.kubernetes` says what it can do."""
