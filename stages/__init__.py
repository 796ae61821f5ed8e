"""The pipeline: one module for each DVC stage, and a package for each thing that they share."""

from stages.core.numerics import pin_numpy

pin_numpy()
