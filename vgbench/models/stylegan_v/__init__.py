"""StyleGAN-V: continuous-time videos from a StyleGAN2 generator and acyclic motion codes."""
