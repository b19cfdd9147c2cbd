"""Blocks of StyleGAN2 networks, and the video discriminator that several models share."""
