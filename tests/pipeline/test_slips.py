"""A slip in an experiment ends in one line, through `dvc exp run` and through the front door."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages import run
from stages.core.errors import EncoreError
from stages.entry.internals import internals
from tests.pipeline.project import Project
from tests.synthetic import line_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__)
GRAMMAR = [  # DVC reads these words before it asks Hydra: only the front door can explain them
    ("dataset.path=~/music", ["~ means nothing here", f"write dataset.path={Path.home()}/music"]),
    ("features.include=[mfcc", ["brackets", "'features.include=[a, b]'"]),
    ("features.mfcc.framing={n_fft: 512", ["brackets", "{key: value}"]),
    ('dataset.path="/some/music', ["a quote is not closed", """'dataset.path="/some/music"'"""]),
    ("dataset.path=/some/(live) music", ["( )", """'dataset.path="/some/(live) music"'"""]),
    ("dataset.path=/some/a&b;c", ["& ;", """'dataset.path="/some/a&b;c"'"""]),
    ("lstm", ["should be KEY=VALUE", "model=lstm"]),
    ("~dataset.seed", ["nothing can be taken away", "dataset.seed=VALUE"]),
]
SLIPS = [
    ("model=encorecnn", ["did you mean encore_cnn?", "blocks_cnn", "lstm, mlp"]),
    ("model=[mlp,cnn]", ["--queue", "model=one,two"]),
    ("model=null", ["model is one of", "encore_cnn"]),
    ("modle=lstm", ["no key modle", "did you mean model?"]),
    ("split=kfolds", ["did you mean kfold?", "grouped", "stratified"]),
    ("augment=[mixup,noize]", ["did you mean noise?", "specaugment"]),
    ("train=fast", ["train is one of default", "train.KEY=VALUE"]),
    ("+model=lstm", ["has a choice already", "write model=lstm"]),
    ("+experiment=uab_lstm +experiment=uab_cnn", ["experiment is chosen twice"]),
    ("+experiment=notebook", ["did you mean notebook_mlp?", "uab_lstm"]),
    ("experiment=notebook_mlp", ["write +experiment=notebook_mlp"]),
    ("train.epoch=5", ["no key train.epoch;", "did you mean train.epochs?", "batch_size"]),
    ("+train.epoch=5", ["train.epoch: unknown key", "did you mean epochs?", "batch_size"]),
    ("+train.epochs=5", ["is there already", "write train.epochs=5"]),
    ("++trian.epochs=5", ["no key trian.epochs", "sections are", "did you mean train.epochs?"]),
    ("epochs=5", ["did you mean train.epochs?"]),
    ("train.n_mels=64", ["did you mean features.mel.n_mels?"]),
    ("split.fold=2", ["a key of split=kfold", "add split=kfold"]),
    ("dataset.path=/some/music", ["a key of dataset=fma and dataset=folder"]),
    ("train.epochs=ten", ["train.epochs is 'ten'", "integer"]),
    ("train.epochs=0", ["train.epochs is 0", "greater than or equal to 1"]),
    ("model.feature=mell", ["features.include has only mfcc, mel"]),
    ("features.mfcc=5", ["features.mfcc is 5", "group of keys"]),
    ("runtime.devices=5000", ["runtime.devices is 5000", f"this machine has {os.cpu_count()} cores"]),
    ("train.epochs=${train.epoch}", ["train.epoch"]),
    ("dataset=folder", ["dataset.path: not given", "add -S dataset.path=VALUE"]),
    ("dataset=folder dataset.path=music", ["relative", "absolute path, such as /home/me/music"]),
    ("dataset=folder dataset.path='~/music'", ["~ means nothing here", f"write {Path.home()}/music"]),
    ("dataset=folder dataset.path={project}/stage", ["no stage in {project};", "did you mean stages?"]),
    ("split=file split.path=data/facts/split.csv", ["split.path", "no split.csv in {project}/data/facts"]),
    ("dataset.labels=data/verdict/anna.csv", ["dataset.labels", "no verdict in {project}/data"]),
    ("dataset.labels=data/verdicts/own.csv", ["which git does not track", "`git add data/verdicts/own.csv`"]),
    ("features.include=[mfcc,mel,encoder]", ["features.encoder.path is not given; add -S"]),
    ("features.encoder.path=mine.onnx", ["features.encoder.path", "relative"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project, where nothing has run, with verdicts that nobody has committed."""
    project = Project(tmp_path_factory.mktemp("project"))
    (project.folder / "data/verdicts").mkdir(exist_ok=True)
    (project.folder / "data/verdicts/own.csv").write_text("track_id,verdict,label\n")
    return project


def words_of(text: str, project: Project) -> list[str]:
    """The words of a slip; only those of grammar have spaces in one word."""
    is_grammar = text in [slip for slip, _ in GRAMMAR]
    return [text] if is_grammar else text.replace("{project}", str(project.folder)).split()


def assert_is_explained(line: str, parts: list[str], project: Project) -> None:
    assert "\n" not in line
    for part in parts:
        assert part.replace("{project}", str(project.folder)) in line


def state(project: Project) -> tuple[str, str, int]:
    """What a refused experiment must not change."""
    n_queued = len(project.git("stash", "list").splitlines()) + project.git(
        "for-each-ref", "refs/exps"
    ).count("\n")
    return project.git("status", "--short"), (project.folder / "params.yaml").read_text(), n_queued


@pytest.mark.parametrize(
    ("slip", "parts"), [*GRAMMAR, *SLIPS], ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_front_door_explains_a_slip_in_one_line(slip, parts, project, monkeypatch):
    monkeypatch.chdir(project.folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(sys, "argv", ["run", *words_of(slip, project)])
    with pytest.raises(EncoreError) as refused:
        run.main()
    assert_is_explained(str(refused.value), parts, project)


# One process for all: the import of DVC takes longer than twenty experiments that it refuses.
MANY = """
import json, sys
from dvc.cli import main
for words in json.load(sys.stdin):
    status = main(["exp", "run", "--queue", *(part for word in words for part in ("-S", word))])
    print("exit status", status, flush=True)
"""


@pytest.fixture(scope="module")
def answers(project: Project) -> dict[str, str]:
    """What `dvc exp run --queue` prints for each slip."""
    before = state(project)
    done = subprocess.run(
        [sys.executable, "-c", MANY],
        cwd=project.folder,
        input=json.dumps([words_of(slip, project) for slip, _ in SLIPS]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert state(project) == before, "something is queued, or changed"
    lines = done.stdout.splitlines()
    assert lines[1::2] == ["exit status 255"] * len(SLIPS), "one line each"
    return {slip: line for (slip, _), line in zip(SLIPS, lines[::2], strict=True)}


@pytest.mark.parametrize(("slip", "parts"), SLIPS, ids=[slip for slip, _ in SLIPS])
def test_dvc_exp_run_explains_a_slip_in_one_line(slip, parts, answers, project):
    assert answers[slip].startswith("ERROR: ")
    assert_is_explained(answers[slip], parts, project)


def test_there_are_thirty_slips_besides_those_of_grammar():
    assert len({slip for slip, _ in SLIPS}) >= 30


def test_a_sweep_with_one_wrong_choice_queues_nothing(project):
    before = state(project)
    done = project.run("dvc", "exp", "run", "--queue", "-S", "model=mlp,encorecnn")
    assert done.returncode == 255
    assert done.stdout.count("\n") == 1, done.stdout
    assert "did you mean encore_cnn?" in done.stdout
    assert state(project) == before


def test_dvc_exp_run_in_a_subfolder_is_refused_and_writes_nothing_there(project):
    project.folder.joinpath("data/below").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "run", "-S", "model=lstm"],
        cwd=project.folder / "data/below", capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[0].startswith(
        f"ERROR: experiments run in the project's root; cd {project.folder}"
    )
    assert len(done.stderr.splitlines()) == 1
    assert list((project.folder / "data/below").iterdir()) == []


def test_the_front_door_queues_a_sweep_from_a_subfolder(project):
    words = ["--queue", "--name", "both", "model=mlp,cnn", "-S", "train.seed=1", "dataset.classes=[1990,01]"]
    done = subprocess.run(
        [sys.executable, "-m", "stages.run", *words],
        cwd=project.folder / "data", capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(project.folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(entry["name"] for entry in project.queue()) == ["both-1", "both-2"]
    assert project.git("status", "--short") == "?? data/verdicts/\n"  # as before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--queu", "model=lstm"], ["--queu: not an option", "did you mean --queue?"]),
        (["model=lstm", "--name"], ["--name: needs a value"]),
        (["model=mlp,cnn"], ["add --queue", "dvc queue start"]),
        (["train.seed=interval(0,1)", "--queue"], ["interval", "range(1,4)"]),
    ],
)
def test_a_wrong_option_is_one_line(arguments, parts, project, monkeypatch):
    monkeypatch.chdir(project.folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(sys, "argv", ["run", *arguments])
    with pytest.raises(EncoreError) as refused:
        run.main()
    assert_is_explained(str(refused.value), parts, project)


def test_every_option_of_the_front_door_is_one_of_dvc():
    for option in run.WITH_VALUE:
        internals().options(["exp", "run", option, "x"])
    for option in run.ALONE:
        internals().options(["exp", "run", option])


def test_words_and_options_are_told_apart():
    arguments = ["-n", "a=b", "model=lstm", "--queue", "-S", "train.seed=1", "-m", "now c=d"]
    assert run.split(arguments) == (["model=lstm", "train.seed=1"], ["-n", "a=b", "--queue", "-m", "now c=d"])


def test_the_multirun_of_hydra_is_not_taken_for_a_message():
    assert "`encore grid model=cnn,mlp`" in line_of(lambda: run.split(["-m", "model=cnn,mlp"]))


def test_what_is_private_to_hydra_and_dvc_is_as_it_is_used():
    names = internals()
    assert list(inspect.signature(names.Loader.load_configuration).parameters)[:3] == [
        "self",
        "config_name",
        "overrides",
    ]
    assert list(inspect.signature(names.hash_folder).parameters)[:4] == ["odb", "path", "fs", "name"]
    assert "dry_run" in inspect.signature(names.hash_folder).parameters
    assert names.options(["exp", "run", "-S", "a=1", "-S", "b=2"]).set_param == ["a=1", "b=2"]
    assert names.by_file(["a=1", "other.yaml:b=2"]) == {"params.yaml": ["a=1"], "other.yaml": ["b=2"]}
    assert names.experiments({"params.yaml": ["a=1,2"]}) == [
        {"params.yaml": ["a=1"]},
        {"params.yaml": ["a=2"]},
    ]
    word = names.parser.parse_override("+a.b=[c,1]")
    assert (word.key_or_group, word.value(), word.input_line) == ("a.b", ["c", 1], "+a.b=[c,1]")
    assert (word.is_add(), word.is_force_add(), word.is_sweep_override()) == (True, False, False)
    assert names.parser.parse_override("a=1,2").is_sweep_override()
