"""MLflow, in a separate process."""
