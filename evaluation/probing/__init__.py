"""Ask frozen models with media withheld, here or behind an endpoint."""
