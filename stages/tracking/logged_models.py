"""The models that MLflow has of a run, each with the code and the exact packages that load it elsewhere."""

import shutil
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import files, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from stages.core.errors import EncoreError
from stages.core.params import flat
from stages.training.description import Description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

MODEL = ("model.json", "weights.safetensors")
ARRAYS, AUDIO = "model", "audio_model"  # what they are called
LOADS_ARRAYS = ("mlflow", "numpy", "pydantic", "ruamel.yaml", "safetensors", "torch")
LOADS_AUDIO = (*LOADS_ARRAYS, "av", "h5py", "pandas", "scipy", "soundfile", "soxr")


def log_array_model(run_id: str, model: Path) -> None:
    """Log the model that takes arrays of its feature.

    Parameters
    ----------
    run_id : str
    model : Path
        Output folder of the train stage.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    description = Description.load(model)
    shape = tuple(description.kwargs["input_shape"])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(description.dtype, (-1, *shape))]),
        outputs=Schema([TensorSpec(np.dtype(np.float64), (-1, len(description.labels)))]),
    )
    data = [model / name for name in MODEL]
    _log(
        run_id, ARRAYS, "stages.training.trained", {path.name: path for path in data}, signature, LOADS_ARRAYS
    )


def log_audio_model(run_id: str, model: Path, metrics: Path) -> str:
    """Log the model that takes audio files, with all that its features need; return its id.

    Parameters
    ----------
    run_id : str
    model : Path
        A folder with the files `MODEL`.
    metrics : Path
        metrics.json of the evaluation, which has the threshold of novelty.

    Raises
    ------
    EncoreError
        If the encoder is missing or another one now, `metrics` has no threshold, or a class has the name of
        a column of the answer.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from stages.features.catalogue import CATALOGUE, rebuild
    from stages.inference import audio_model
    from stages.inference.origin import ENCODER, METRICS, threshold

    description = Description.load(model)
    about = description.input
    threshold(metrics)  # there?
    answer = audio_model.columns(description.labels)
    signature = ModelSignature(
        inputs=Schema([ColSpec("binary", audio_model.AUDIO)]),
        outputs=Schema([ColSpec(kind, name) for name, kind in answer.items()]),
    )
    data = {name: model / name for name in MODEL} | {METRICS: metrics}
    packages = {*LOADS_AUDIO, *(package for name in about.settings for package in CATALOGUE[name].packages)}
    if encoder := about.settings.get("encoder"):
        rebuild("encoder", {**encoder, "sample_rate_hz": about.sample_rate_hz})  # is it the same?
        data[ENCODER] = Path(encoder["path"])
    if "estimate" in flat(about.settings).values():  # the tuning of chroma, also within timbre33
        packages.add("librosa")
    with TemporaryDirectory() as folder:
        carried = _weights_of_musicnn(Path(folder)) if "musicnn" in packages else []
        return _log(
            run_id, AUDIO, audio_model.__name__, data, signature, sorted(packages - {"musicnn"}), carried
        )


def download(client: "MlflowClient", run_id: str, name: str, into: Path) -> tuple[Path, Path]:
    """Fetch the model of a run, and its evaluation.

    Parameters
    ----------
    client : MlflowClient
    run_id, name : str
        Of the run.
    into : Path
        An empty folder.

    Returns
    -------
    model, metrics : Path
        A folder with the files `MODEL`, and metrics.json in a folder with all that evaluate has written.

    Raises
    ------
    EncoreError
        If the run has lost one of them.
    """
    from mlflow import MlflowException
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    try:
        arrays = f"runs:/{run_id}/{ARRAYS}"
        data = Model.load(arrays).flavors["python_function"]["data"]
        model = Path(download_artifacts(f"{arrays}/{data}", dst_path=str(into)))
        metrics = Path(client.download_artifacts(run_id, "evaluation", str(into))) / "metrics.json"
        missing = [path for path in (*(model / name for name in MODEL), metrics) if not path.is_file()]
    except (OSError, MlflowException):
        missing = [into]
    if missing:
        raise EncoreError(
            f"run {name} ({run_id}) has lost its model or its results; run it again, or choose others"
        )
    return model, metrics


def _weights_of_musicnn(folder: Path) -> list[Path]:
    """Copy the weights, licence and metadata of the installed package: pip would install TensorFlow with it.

    Where the code of a model is, Python finds them as an installed package.
    """
    from stages.features.musicnn_network import FOLDER, PACKAGE, SHA256

    weights = {FOLDER / name for name in SHA256}
    for file in files(PACKAGE) or []:
        if Path(file) in weights or file.parts[0].endswith(".dist-info"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), folder / file)
    return list(folder.iterdir())


def _log(
    run_id: str,
    name: str,
    loader: str,
    data: Mapping[str, Path],
    signature: "ModelSignature",
    packages: Sequence[str],
    more_code: Sequence[Path] = (),
) -> str:
    """Log a model of files, by their names in it, in a run that goes on or has ended; return its id."""
    import mlflow.pyfunc
    from mlflow.models import Model

    project = Path(__file__).parents[2]
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    with warnings.catch_warnings(), TemporaryDirectory() as temporary:
        warnings.simplefilter("ignore")  # about the optional input example
        folder = Path(temporary, name)
        folder.mkdir()
        for file, path in data.items():
            shutil.copy(path, folder / file)
        # MLflow's log_model would start the run again, and change when it ended
        created = client.create_logged_model(run.info.experiment_id, name, run_id, params=run.data.params)
        Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            model_id=created.model_id,
            loader_module=loader,
            data_path=str(folder),
            code_paths=[str(path) for path in (project / "stages", project / "models", *more_code)],
            signature=signature,
            pip_requirements=pins(packages),
        )
    return str(created.model_id)


def pins(packages: Sequence[str]) -> list[str]:
    """Return the versions of packages here, as pip installs them elsewhere: without the build of torch."""
    return [f"{package}=={version(package).partition('+')[0]}" for package in packages]
