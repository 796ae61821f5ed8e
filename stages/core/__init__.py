"""What all other code uses: errors, parameters, the workspace, tables."""
