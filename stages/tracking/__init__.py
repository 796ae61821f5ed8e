"""MLflow, in a process of its own."""
