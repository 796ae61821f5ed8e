"""The pipeline: one module for each DVC stage, and a package for each thing that they share."""
