"""The stages of dvc.yaml: what of them two experiments have in common."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.core.params import flat
from stages.entry.internals import internals


class Pipeline:
    """The stages of a project, as DVC reads them.

    Parameters
    ----------
    project : Path
        The project's root.
    """

    def __init__(self, project: Path):
        from dvc.repo import Repo

        self._project = project
        self._repo = Repo(str(project))
        self._hashes: dict[str, str] = {}

    def close(self) -> None:
        """Close what DVC has open."""
        self._repo.close()

    @cached_property
    def stages(self) -> dict[str, Any]:
        """DVC's stages by name, each after those that it depends on."""
        found = {stage.name: stage for stage in self._repo.index.stages}
        ordered: dict[str, Any] = {}

        def add(name: str) -> None:
            for dependency in found[name].deps:
                if (maker := self._makers.get(dependency.fs_path)) and maker not in ordered:
                    add(maker)
            ordered.setdefault(name, found[name])

        for name in sorted(found):
            add(name)
        return ordered

    @cached_property
    def code(self) -> list[str]:
        """What the stages read of the project itself, such as stages/core; conf/ is in the values."""
        inputs = {
            Path(dependency.fs_path)
            for stage in self.stages.values()
            for dependency in stage.deps
            if dependency.fs_path not in self._makers
        }
        inside = {path.relative_to(self._project) for path in inputs if path.is_relative_to(self._project)}
        return sorted(str(path) for path in inside if path.parts[0] != "conf" and path.name != "params.yaml")

    @cached_property
    def _makers(self) -> dict[str, str]:
        """The stage that makes an output, by the output's path."""
        return {out.fs_path: stage.name for stage in self._repo.index.stages for out in stage.outs}

    def keys(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return for each stage a hash of its parameters, and of those of the stages before it.

        Parameters
        ----------
        values : mapping of str to dict
            The sections of an experiment.
        """
        keys: dict[str, str] = {}
        for name, stage in self.stages.items():
            own = {section: values[section] for section in _sections(stage)}
            before = sorted(
                {keys[self._makers[dep.fs_path]] for dep in stage.deps if dep.fs_path in self._makers}
            )
            content = json.dumps([name, own, before], sort_keys=True)
            keys[name] = hashlib.sha256(content.encode()).hexdigest()
        return keys

    @property
    def sizes(self) -> dict[str, int]:
        """Size of each stage's outputs in bytes, as dvc.lock has it."""
        return {
            name: sum(out.meta.size or 0 for out in stage.outs if out.meta)
            for name, stage in self.stages.items()
        }

    def watched(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return DVC's hash of each file and folder that an experiment watches, such as a user's music."""
        return {path: self._hash(path) for path in sorted(_watched(values))}

    def _hash(self, path: str) -> str:
        if path not in self._hashes:
            place = self._project / path
            _, _, content = internals().hash_folder(
                self._repo.cache.local, str(place), self._repo.fs, "md5", dry_run=True
            )
            self._hashes[path] = str(content.hash_info.value)
        return self._hashes[path]


def _sections(stage: Any) -> Iterator[str]:
    for dependency in stage.deps:
        yield from getattr(dependency, "params", ())


def _watched(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in flat(values).items():
        if key.rpartition(".")[2].startswith("watch") and not str(value).startswith("conf/"):
            yield str(value)
