"""What people say about labels after listening: a journal, corrections of a dataset, agreement."""
