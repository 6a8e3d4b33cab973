"""Models and applications as Hydrosphere's users know them, on a cluster."""

from tests.acceptance.test_hydrosphere import *  # noqa: F403
