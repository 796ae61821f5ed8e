"""From a waveform to the arrays that models learn from."""
