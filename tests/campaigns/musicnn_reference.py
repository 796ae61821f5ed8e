"""Writes tests/musicnn_reference.csv: what musicnn's own code gives for the signals of the tests.

Made once, in an environment that is thrown away, since this package's own needs another numpy:

    python3.11 -m venv /tmp/reference
    /tmp/reference/bin/pip install tensorflow-cpu==2.15.1 librosa==0.10.2 'numpy<2'
    /tmp/reference/bin/pip install --no-deps musicnn==0.1.0
    PYTHONPATH=. /tmp/reference/bin/python -m tests.campaigns.musicnn_reference

The wheel's extractor repeats the first patch of some layers, so its network is asked patch by patch here.
"""

import csv
import sys
from pathlib import Path

import librosa
import musicnn
import numpy as np
import tensorflow as tf
from musicnn import models

from tests.musicnn_signals import RATE_HZ, signals

TABLE = Path(__file__).parents[1] / "musicnn_reference.csv"
PATCH, N_MELS, N_TAGS = 187, 96, 50
EVERY = {"tag_logits": 3, "penultimate": 11, "max_pool": 31}  # how many values apart those in the table are


def patches(samples: np.ndarray) -> np.ndarray:
    """As `musicnn.extractor.batch_data` does, but with a product in float32, which cannot overflow."""
    mel = librosa.feature.melspectrogram(y=samples, sr=RATE_HZ, hop_length=256, n_fft=512, n_mels=N_MELS).T
    level = np.log10(10000 * mel.astype(np.float16).astype(np.float32) + 1)
    n_patches = len(level) // PATCH
    return level[: n_patches * PATCH].reshape(n_patches, PATCH, N_MELS)


def main() -> None:
    tf.compat.v1.disable_eager_execution()
    x = tf.compat.v1.placeholder(tf.float32, [None, PATCH, N_MELS])
    is_training = tf.compat.v1.placeholder(tf.bool)
    with tf.name_scope("model"):
        logits, *_, max_pool, penultimate = models.define_model(x, is_training, "MSD_musicnn", N_TAGS)
    layers = {"tag_logits": logits, "penultimate": penultimate, "max_pool": max_pool}
    with tf.compat.v1.Session() as session, TABLE.open("w", newline="") as file:
        tf.compat.v1.train.Saver().restore(session, f"{Path(musicnn.__file__).parent}/MSD_musicnn/")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["signal", "layer", "patch", "index", "value", "largest"])
        for signal, samples in signals().items():
            for number, patch in enumerate(patches(samples)):
                values = session.run(layers, {x: patch[None], is_training: False})
                for layer, (of_patch,) in values.items():
                    largest = np.abs(of_patch).max()
                    for index in range(0, len(of_patch), EVERY[layer]):
                        table.writerow(
                            [signal, layer, number, index, repr(float(of_patch[index])), repr(float(largest))]
                        )
    print(f"{TABLE}: {tf.__version__=}, {librosa.__version__=}, {np.__version__=}", file=sys.stderr)


if __name__ == "__main__":
    main()
