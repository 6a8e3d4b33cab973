"""Hydrosphere's resource definitions: models, applications and deployment configurations.

Pure functions from the documents that people write to values. A document that is wrong is refused
with all that is wrong in it; what the real system would ignore is taken with a note.
"""
