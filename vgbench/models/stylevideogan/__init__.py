"""StyleVideoGAN: a recurrent generator of latents of a pretrained image generator."""
