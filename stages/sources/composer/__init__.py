"""Composes the toy dataset's music: harmony, rhythm, melody and form, from seeds and artists' habits."""
