"""How processes that are not ours are kept in: kernel calls, and a guarded way to the network.

Needs nothing but the standard library, so that small programs can import it on any Python.
"""
