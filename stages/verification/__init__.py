"""Outputs compared with what dvc.lock records: equal, or where and by how much they differ, and why."""
