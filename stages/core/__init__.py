"""The ground that everything stands on: errors, parameters, the workspace, tables."""
