"""Audio in, numpy out: rendering, decoding and what is computed from samples."""
