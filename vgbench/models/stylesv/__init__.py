"""StyleSV: smooth and long videos from an alias-free generator."""
