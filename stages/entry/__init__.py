"""How a command or an experiment starts and ends: the check before it, and the line if it fails."""
