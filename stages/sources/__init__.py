"""Where music comes from: one class for each source."""
