"""The one exception for mistakes that a user can correct."""


class EncoreError(Exception):
    """What went wrong, where, and what to do, in one line."""
