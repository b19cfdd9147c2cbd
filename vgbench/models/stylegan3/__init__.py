"""StyleGAN3: images from an alias-free generator, trained on the frames of videos."""
