"""Endpoints as proxiML's users know them, on a cluster."""

from tests.acceptance.test_proximl import *  # noqa: F403
