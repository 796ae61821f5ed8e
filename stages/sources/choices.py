"""Every source by its name, and the one that params.yaml chooses."""

from collections.abc import Mapping
from typing import Any

from stages.core.params import check_named
from stages.sources.fma import Fma, FmaParams
from stages.sources.folder import Folder, FolderParams
from stages.sources.gtzan import Gtzan, GtzanParams
from stages.sources.params import SourceParams
from stages.sources.sample import Sample, SampleParams
from stages.sources.source import Source

SOURCES: Mapping[str, tuple[type[SourceParams], Any]] = {
    "sample": (SampleParams, Sample),
    "folder": (FolderParams, Folder),
    "gtzan": (GtzanParams, Gtzan),
    "fma": (FmaParams, Fma),
}


def check_dataset(values: Any) -> SourceParams:
    """Check the `dataset` section of params.yaml.

    Raises
    ------
    EncoreError
        If there is no such source, or one of its parameters is wrong.
    """
    return check_named(values, {name: params for name, (params, _) in SOURCES.items()}, "dataset")


def build(values: Any) -> Source:
    """Return the source that the `dataset` section of params.yaml names; raises as `check_dataset` does."""
    params = check_dataset(values)
    source: Source = SOURCES[params.name][1](params)
    return source
