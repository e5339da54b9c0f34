"""Training stages as Lightning modules, and all that they compute with."""
