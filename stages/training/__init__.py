"""Training a model, and the trained model as files."""
