"""The registry of sections: all of them are checked, alone and against each other, without data."""

import ast
import inspect

import pytest

import models
from stages.core.errors import EncoreError
from stages.entry.registry import SECTIONS, check_params
from stages.training.model_params import constructor, model_modules
from tests.synthetic import composed_sections, edit_params, line_of, write_params


@pytest.fixture(autouse=True)
def _params(workspace):
    write_params()


@pytest.mark.parametrize("section", SECTIONS)
def test_unknown_key_of_any_section_is_refused(section):
    edit_params(section, bogus=1)
    assert f"{section}.bogus: unknown key" in line_of(check_params)


@pytest.mark.parametrize("section", SECTIONS)
def test_missing_section_is_named(section, monkeypatch):
    sections = {name: values for name, values in composed_sections().items() if name != section}

    def read(name: str) -> object:
        if name not in sections:
            raise EncoreError(f"no section {name!r}")
        return sections[name]

    monkeypatch.setattr("stages.entry.registry.read", read)
    assert line_of(check_params) == f"no section {section!r}"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["model.feature=chroma"],
            "params.yaml: model.feature is 'chroma', but features.include has only mfcc, mel; "
            "add chroma to features.include",
        ),
        (
            ["features.include=[mel]", "model.feature=mel"],
            "params.yaml: baseline.features is ['mfcc'], but features.include has only mel; "
            "add mfcc to features.include",
        ),
        (
            ["schedule.warmup_epochs=3", "train.epochs=3"],
            "params.yaml: schedule.warmup_epochs is 3.0, should be under train.epochs, which is 3",
        ),
        (
            ["split=published"],
            "params.yaml: split.name is 'published', but dataset sample publishes no split; "
            "choose another, such as grouped",
        ),
        (
            ["train.precision=16-mixed", "runtime.device=cpu"],
            "params.yaml: train.precision is '16-mixed', but a CPU has only 32-true, bf16-mixed",
        ),
        (
            ["segment.length_s=1e308"],
            "params.yaml: segment.length_s is 1e+308, should be less than or equal to 86400",
        ),
        (
            ["features.mel=3"],
            "params.yaml: features.mel is 3, should be a group of keys; `make params` rewrites the file",
        ),
        (
            ["loss=triplet", "train.batch_size=2"],
            "params.yaml: train.batch_size is 2, should be at least 3 with loss=triplet, "
            "which compares segments of a batch",
        ),
        (
            ["loss=supcon", "augment=mixup"],
            "params.yaml: augment.mixup does not work with loss=supcon, since a mixture is of no class",
        ),
        (
            ["features.include=[mfcc,mel_levels]", "model.feature=mel_levels", "augment=noise"],
            "params.yaml: augment.noise does not work on codes, which mel_levels is; augment.shift does",
        ),
        (
            ["augment=gain"],
            "params.yaml: augment.gain_db needs a feature in dB that is not scaled segment by segment; "
            "mfcc is in 1, train.scaler is 'bins'",
        ),
        (
            ["augment=gain", "model.feature=mel", "train.scaler=example"],
            "params.yaml: augment.gain_db needs a feature in dB that is not scaled segment by segment; "
            "mel is in dB, train.scaler is 'example'",
        ),
        (
            ["features.mel.fmax_hz=5000"],
            "params.yaml: features.mel.fmax_hz is 5000.0, but at 8000 Hz there is nothing above 4000",
        ),
        (
            [
                "features.include=[rms]",
                "model.feature=rms",
                "baseline.features=[rms]",
                "features.mel.fmax_hz=5000",
            ],
            "params.yaml: features.mel.fmax_hz is 5000.0, but at 8000 Hz there is nothing above 4000",
        ),
        (["segment.length_s=1e-5"], "params.yaml: segment.length_s is 1e-05, under one sample"),
    ],
)
def test_sections_that_do_not_fit_together_are_refused(overrides, line):
    write_params(*overrides)
    assert line_of(check_params) == line


@pytest.mark.parametrize(
    "overrides",
    [
        ["augment=gain", "model.feature=mel"],
        ["features.include=[mfcc,mel_levels]", "model.feature=mel_levels", "augment=shift"],
        ["loss=triplet", "train.batch_size=3"],
        ["schedule.warmup_epochs=2.99", "train.epochs=3"],
    ],
)
def test_sections_that_fit_together_are_accepted(overrides):
    write_params(*overrides)
    check_params()


def test_every_model_of_the_package_is_known():
    assert [*model_modules()] == [name for name in models.__all__ if name != "Classifier"]


@pytest.mark.parametrize("name", model_modules())
def test_constructor_read_from_source_is_the_real_one(name):
    annotations = constructor(model_modules()[name], name)
    real = inspect.signature(getattr(models, name)).parameters
    assert [*annotations] == ["self", *real]
    module = vars(inspect.getmodule(getattr(models, name)))
    for key, parameter in real.items():
        assert eval(ast.unparse(annotations[key]), module) == parameter.annotation
