"""The pipeline: one module per DVC stage, and a room each for what stages share."""
