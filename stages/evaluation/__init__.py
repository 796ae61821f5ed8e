"""Numbers: how good predictions are."""
