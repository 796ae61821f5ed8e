"""Words: the model card and the summary in the terminal."""
