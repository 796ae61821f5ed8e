"""Runs after edits of music and parameters equal runs that begin with nothing; the campaign tries more."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.campaigns.incremental import SETTINGS, Editing, Project

pytestmark = pytest.mark.slow

SHORT = settings(
    SETTINGS,
    derandomize=True,
    max_examples=3,
    stateful_step_count=16,
    phases=[Phase.generate],  # the campaign looks for the shortest story of a failure, which takes minutes
)


@pytest.mark.usefixtures("fork_server")
def test_a_run_after_edits_equals_one_from_nothing():
    Project.n.clear()
    run_state_machine_as_test(Editing, settings=SHORT)
    assert Project.n["train", "run"] > 6, "few runs come to the end"
