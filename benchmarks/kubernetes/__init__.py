"""Many endpoints at once on a real API server, whose node and pods are only played.

What is measured is everything above a node: the scheduler, its driver, the API server, and
Kubernetes' own controllers. No container runs.
"""
