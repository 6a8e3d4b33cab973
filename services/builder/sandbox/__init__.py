"""Runs a command that is not trusted: limited, out of sight of everything, and gone when it ends.

`run.py` is what the builder calls. It starts `main.py`, a small standard-library program that stays
on the machine's side, which puts the command into user, mount, process, IPC, host name and network
namespaces of its own. Whatever the command started ends with it: when it ends itself, at a limit,
when the builder asks, and when the builder or the program itself is killed.
"""
