"""Alias-free layers of StyleGAN3 and the schedule of their sizes and frequencies."""
