"""Many experiments: grids, and searches, that survive being killed."""
