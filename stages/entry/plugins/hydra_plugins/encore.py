"""Loaded by Hydra inside `dvc exp run`: `plugins_path` in .dvc/config names the folder above."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(PROJECT))  # the program dvc does not know where the project's own code is

from stages.entry.experiment import guard_experiments  # noqa: E402

guard_experiments(PROJECT)
