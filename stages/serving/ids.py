"""What addresses call a track: no path, and nothing that could become one."""

import hashlib

DIGITS = 16


def address_of(track_id: str) -> str:
    """Return what addresses call a track: the first digits of the SHA-256 of its track_id."""
    return hashlib.sha256(track_id.encode()).hexdigest()[:DIGITS]
