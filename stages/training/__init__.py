"""How a model is trained, and what a trained model is."""
