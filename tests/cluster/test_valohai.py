"""Deployments as Valohai's users know them, on a cluster."""

from tests.acceptance.test_valohai import *  # noqa: F403
