"""Resource definitions: models, applications and how they run, from YAML files to the platform."""
