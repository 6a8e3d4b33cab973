"""The platform's own images: one for each service, and one for the doorman.

`make images REGISTRY=host:port/prefix` composes and pushes them. The same tree on the same bases
gives the same digests, on whatever machine and whenever; no container engine is needed.
"""
