"""An example plugin of vgbench: a model, a data set and a metric."""
