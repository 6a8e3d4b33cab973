"""Hydrosphere's manager API, version 2, so that its own clients work unchanged.

Its paths name no project and its clients send no token of their own: both are in the address that
people give them, `http://<project>:<token>@<host>`. What it does is what `/v1` does, in its words.
"""
