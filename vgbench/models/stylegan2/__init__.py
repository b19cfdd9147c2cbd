"""StyleGAN2: images from a style-based generator, trained on the frames of videos."""
