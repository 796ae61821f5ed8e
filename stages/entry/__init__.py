"""How a command starts and ends: the check of params.yaml before it, and the message if it fails."""
