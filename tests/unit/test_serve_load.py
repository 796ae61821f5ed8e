"""A short load: a full server answers rightly, or says when to try again."""

import pytest

from tests.campaigns.serve_load import load
from tests.serving import make_project

pytestmark = pytest.mark.slow


def test_many_clients_at_once_are_answered_rightly(module_workspace):
    make_project(module_workspace)
    report = load(module_workspace, 6.0, 16)
    assert report.problems == []
    assert report.left == []
    assert report.statuses[200] > 16
    assert {*report.statuses} <= {200, 206, 503}
