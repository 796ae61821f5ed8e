"""A trained model and a file it has not seen."""
