"""Stage extract: what do the segments look like? Writes data/features/features.h5."""

from collections.abc import Mapping
from pathlib import Path

from stages.core.params import load
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.features.extraction import Extraction
from stages.features.params import FeaturesParams
from stages.features.segments import Index
from stages.features.writing import write
from stages.storage import feature_file

AUDIO = Path("data/audio")
SEGMENTS = Path("data/segments/segments.csv")


def main() -> None:
    """Extract the features of every segment in the index."""
    params = load("features", FeaturesParams)
    extraction = Extraction(params, Index.read(AUDIO / "tracks.csv", SEGMENTS), AUDIO / "audio.h5")
    with outputs(Path("data/features")) as folder:
        arrays = write(folder / "features.h5", params, extraction)
    _report(params, extraction, arrays)


def _report(params: FeaturesParams, extraction: Extraction, arrays: Mapping[str, feature_file.Array]) -> None:
    if n_empty := max(feature.n_empty_bands() for feature in extraction.features.values()):
        n_mels = params.section("mel").model_dump()["n_mels"]
        print(
            f"extract: {n_empty} of {n_mels} bands of mel hold no bin and stay at the floor; "
            "choose a larger features.n_fft or a smaller features.mel.n_mels"
        )
    for remark in filter(None, (feature.remark() for feature in extraction.features.values())):
        print(f"extract: {remark}")
    n_segments = len(extraction.index.track_id)
    for name, stored in arrays.items():
        print(
            f"extract: {name} {(n_segments, len(stored.bins.values), len(stored.time.values))} {stored.dtype}"
        )
    if extraction.variants:
        print(f"extract: the same of {', '.join(variant.name for variant in extraction.variants)}")


if __name__ == "__main__":
    run(main)
