"""The page of `encore serve`: ask a model, listen to its mistakes, see all music; and the same as JSON."""
