"""What can be asked of the platform, one file per kind of thing. `AsyncClient` joins them."""
