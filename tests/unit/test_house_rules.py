"""Rules of the house, read from the source."""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.synthetic import REPO

STAGE_MODULES = [
    "fetch",
    "decode",
    "segment",
    "split",
    "extract",
    "pictures",
    "baseline",
    "train",
    "evaluate",
]
SOURCES = sorted(path for package in ("stages", "models") for path in (REPO / package).rglob("*.py"))


@functools.cache
def imported(path: Path, for_types: bool = True) -> set[str]:
    """Dotted names of all that a file imports, anywhere in its code; for type checkers alone, too, or not."""
    names = set()
    tree = ast.parse(path.read_text("utf-8"))
    if not for_types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import, which import_closure does not follow"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def importers(package: str) -> set[str]:
    """Files that import `package`, except for type checkers alone."""
    return {
        path.relative_to(REPO).as_posix()
        for path in SOURCES
        if any(name == package or name.startswith(f"{package}.") for name in imported(path, for_types=False))
    }


def test_models_import_torch_only():
    used = set().union(*map(packages, (REPO / "models").glob("*.py")))
    assert used - set(sys.stdlib_module_names) == {"torch", "models"}


def test_audio_knows_no_tracking_and_no_files_but_audio():
    used = set().union(*map(packages, (REPO / "stages/audio").rglob("*.py")))
    assert not used & {"mlflow", "kaggle", "dvc", "h5py", "csv", "json", "ruamel", "yaml"}


@pytest.mark.parametrize(
    ("package", "owners"),
    [
        ("mlflow", "stages/tracking/dataset.py stages/tracking/finished.py stages/tracking/groups.py "
         "stages/tracking/logged_models.py stages/tracking/machine.py stages/tracking/process.py "
         "stages/tracking/registering.py stages/inference/audio_model.py"),
        ("kaggle", "stages/sources/kaggle.py"),
        ("kagglesdk", "stages/sources/kaggle.py"),
        ("ruamel", "stages/core/params.py"),
        ("yaml", None),
        ("h5py", "stages/storage/hdf5.py stages/storage/audio_file.py stages/storage/feature_file.py"),
        ("dask", "stages/parallel/cluster.py"),
        ("distributed", "stages/parallel/cluster.py"),
        ("hydra", "stages/entry/internals.py stages/entry/overrides.py stages/entry/experiment.py"),
        ("omegaconf", "stages/entry/overrides.py"),
        ("dvc", "stages/entry/internals.py stages/entry/overrides.py stages/entry/experiment.py "
         "stages/entry/foreign.py stages/experiments/pipeline.py stages/experiments/slot.py stages/links.py "
         "stages/offline.py stages/verification/recorded.py"),
        ("dvc_data", "stages/entry/internals.py"),
        ("onnx", None),
        ("onnx_ir", "stages/exporting/onnx_file.py"),
        ("onnxruntime", "stages/exporting/onnx_file.py stages/features/onnx_network.py"),
        ("pickle", None),
    ],
)  # fmt: skip
def test_only_its_owners_import_it(package, owners):
    assert importers(package) <= set((owners or "").split())


PRIVATE = ("hydra._", "hydra.core", "dvc.cli", "dvc.utils", "dvc_data")  # beyond what is documented


def test_names_private_to_hydra_and_dvc_stand_in_one_module():
    users = {path for path in SOURCES if any(name.startswith(PRIVATE) for name in imported(path))}
    assert users == {REPO / "stages/entry/internals.py"}


def test_owners_are_where_they_are_said_to_be():
    for package in ("mlflow", "kaggle", "ruamel", "h5py", "dask", "distributed", "hydra", "omegaconf", "dvc"):
        assert importers(package), package


@pytest.mark.parametrize("module", STAGE_MODULES)
def test_stages_never_import_each_other(module):
    others = {f"stages.{name}" for name in STAGE_MODULES if name != module}
    assert not imported(REPO / "stages" / f"{module}.py") & others


def test_no_room_imports_a_stage():
    stages = {f"stages.{name}" for name in STAGE_MODULES}
    rooms = [path for path in SOURCES if path.stem not in STAGE_MODULES or path.parent.name != "stages"]
    assert len(rooms) == len(SOURCES) - len(STAGE_MODULES)
    assert not [path for path in rooms if imported(path) & stages]


NEUTRAL = {
    "stages.entry.browser.open_in_browser",
    "stages.entry.command.run",
    "stages.entry.command.run_command",
    "stages.tracking.client",
    "stages.tracking.metrics.tracked",
    "stages.tracking.store",
    "stages.tracking.view",
}
# they start DVC or read what MLflow has, in no stage
CHECKING = (
    "check.py", "compare.py", "encore.py", "export.py", "grid.py", "links.py", "predict.py", "register.py",
    "run.py", "runs.py", "search.py", "serve.py", "similar.py", "verdicts.py", "verify.py",
)  # fmt: skip


def test_only_neutral_code_is_taken_from_entry_and_tracking():
    """Neither dvc.yaml nor the content key covers these packages, so no result may depend on them."""
    for path in SOURCES:
        if (
            path.parent.name in ("asking", "entry", "experiments", "serving", "tracking")
            or path.name in CHECKING
        ):
            continue
        taken = {name for name in imported(path) if name.startswith(("stages.entry", "stages.tracking"))}
        for name in taken - NEUTRAL:
            assert any(allowed.startswith(f"{name}.") for allowed in NEUTRAL), (path, name)


PROBE = """
import json, runpy, sys
for stage in sys.argv[1:]:
    sys.argv = ["stages." + stage, "--help"]
    try:
        runpy.run_module("stages." + stage, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        print(json.dumps([stage, ended.code]))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_help_of_every_stage_answers_and_imports_nothing_heavy(tmp_path):
    """One process for all of them: whatever one stage imports too much is in its list of modules."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *STAGE_MODULES],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    for module in STAGE_MODULES:
        assert f"Stage {module}" in done.stdout
        assert json.dumps([module, 0]) in done.stdout
    modules = json.loads(done.stdout.splitlines()[-1])
    assert not set(modules) & {"torch", "mlflow", "sklearn", "matplotlib", "kaggle", "librosa", "dvc"}
    assert list(tmp_path.iterdir()) == []


def public(owner: ast.Module | ast.ClassDef) -> list[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes of a module or class that others may use."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in owner.body if isinstance(node, kinds) and not node.name.startswith("_")]


@functools.cache
def classes() -> dict[str, ast.ClassDef]:
    """All classes by name."""
    trees = [ast.parse(path.read_text("utf-8")) for path in SOURCES]
    return {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def inherited(owner: ast.ClassDef) -> set[str]:
    """Names of the documented methods of the classes that a class extends."""
    bases = [classes()[name] for base in owner.bases if (name := ast.unparse(base)) in classes()]
    own = {node.name for base in bases for node in public(base) if ast.get_docstring(node)}
    return own.union(*map(inherited, bases))


def test_everything_public_has_a_docstring():
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        assert ast.get_docstring(tree), path
        owners = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        for owner in [tree, *owners]:
            documented = inherited(owner) if isinstance(owner, ast.ClassDef) else set()
            for node in public(owner):
                assert ast.get_docstring(node) or node.name in documented, (path, node.name)


def test_no_clock_host_or_random_name_outside_tracking_and_serving():
    """Whatever DVC hashes is a function of inputs, parameters and code."""
    fickle = {"datetime", "uuid", "socket", "platform", "secrets", "getpass"}
    assert {path.parent.name for path in SOURCES if packages(path) & fickle} <= {"tracking", "serving"}


def test_chance_always_has_a_seed():
    anywhere = r"default_rng\(\)|\bRandom\(\)|np\.random\.(?!default_rng|Generator)"
    of_module = r"|(?<!_)\brandom\.(random|choice|shuffle|seed)\("
    for path in SOURCES:
        text = path.read_text("utf-8")
        # where it is imported, `random` is the module; else it is the name of a seeded generator
        unseeded = anywhere + of_module if "import random" in text else anywhere
        assert not re.search(unseeded, text), path


def test_no_hydra_main():
    assert not [path for path in SOURCES if "hydra.main" in path.read_text("utf-8")]


PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))
LOCK = [
    Requirement(line)
    for line in (REPO / "requirements.lock").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


class TestRequirements:
    """pyproject.toml, the lock file and the Makefile agree."""

    @staticmethod
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    def required(self) -> list[Requirement]:
        lists = [PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"].values()]
        return [Requirement(text) for texts in lists for text in texts]

    @pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
    def test_lock_satisfies_every_requirement(self, python):
        environment = {
            **default_environment(),
            "python_version": python,
            "python_full_version": f"{python}.0",
        }
        locked = {
            self.plain(line.name): next(iter(line.specifier)).version
            for line in LOCK
            if line.marker is None or line.marker.evaluate(environment)
        }
        for wanted in self.required():
            if wanted.name != "torch":
                assert self.plain(wanted.name) in locked, wanted.name
                assert wanted.specifier.contains(locked[self.plain(wanted.name)]), wanted

    def test_lock_pins_each_thing_exactly(self):
        for line in LOCK:
            assert [part.operator for part in line.specifier] == ["=="], line

    def test_tinysoundfont_is_locked_and_torch_and_pyaudio_are_not(self):
        names = {self.plain(line.name) for line in LOCK}
        assert "tinysoundfont" in names
        assert not names & {"torch", "triton", "pyaudio"}
        assert not [name for name in names if name.startswith(("nvidia-", "cuda-"))]

    def test_torch_is_one_version_everywhere(self):
        pin = next(wanted for wanted in self.required() if wanted.name == "torch")
        makefile = (REPO / "Makefile").read_text("utf-8")
        assert re.search(r"^TORCH := (.+)$", makefile, re.MULTILINE).group(1) == str(pin)

    def test_everything_imported_is_declared(self):
        modules = {"sklearn": "scikit-learn", "ruamel": "ruamel-yaml", "lightning_fabric": "lightning-fabric"}
        modules |= {"markdown_it": "markdown-it-py", "hydra": "hydra-core"}
        declared = {self.plain(wanted.name) for wanted in self.required()}
        # numba and the like come with librosa; kagglesdk, requests and urllib3 with kaggle
        along = {"kagglesdk", "requests", "urllib3", "omegaconf", "dvc_data"}  # the last two: hydra, dvc
        for path in SOURCES:
            for package in packages(path) - set(sys.stdlib_module_names) - {"stages", "models"} - along:
                assert self.plain(modules.get(package, package)) in declared, f"{path}: {package}"
