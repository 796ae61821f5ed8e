"""Vectors of tracks, and which of them are alike."""
