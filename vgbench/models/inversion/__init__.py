"""The inversion stage: an encoder that finds the styles of a frozen image generator."""
