"""Encoders from images to the styles of a generator (GAN inversion)."""
