"""A person asks a trained model: which model, which files, and how the answer is shown."""
