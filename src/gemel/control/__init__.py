"""Finding to command. Pure."""
