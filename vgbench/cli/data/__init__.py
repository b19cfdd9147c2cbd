"""The verbs of `vgbench data`, one file each."""
