"""A file becomes a checked waveform: decoding, MIDI rendering, quality checks and duplicates."""
