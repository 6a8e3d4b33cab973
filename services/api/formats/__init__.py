"""The formats in which people describe endpoints: one loader each, pure functions to Endpoints."""
