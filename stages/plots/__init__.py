"""Pictures, with matplotlib."""
