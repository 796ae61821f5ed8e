"""Every file is decoded as documented, or listed with the reason."""

import io
import struct
from dataclasses import replace
from pathlib import Path

import h5py
import mido
import numpy as np
import pytest
import soundfile

from stages import decode as stage
from stages.audio import pcm
from stages.audio.cached import DecodeSettings, decode_cached
from stages.audio.decode import DecodedAudio, decode
from stages.audio.params import RenderParams
from stages.audio.waveform import Meter
from stages.core.tables import AudioTrack, Quality, read_rows
from stages.storage.audio_file import checks_of
from tests.synthetic import RATE_HZ, line_of, noise, tone, write_params, write_raw

pytestmark = pytest.mark.slow


def encoded(
    samples: np.ndarray, rate_hz: int = RATE_HZ, file_format: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=file_format, subtype=subtype)
    return file.getvalue()


WINDOW = RenderParams(window_s=2.0, windows=1, control=False)


def decoded(
    tmp_path: Path,
    content: bytes,
    name: str = "a.wav",
    rate_hz: int = RATE_HZ,
    max_duration_s: float = 3600.0,
    render: RenderParams = WINDOW,
) -> DecodedAudio:
    (tmp_path / name).write_bytes(content)
    return decode(tmp_path / name, rate_hz, max_duration_s, render)


def midi(n_notes: int = 8, seconds: float = 4.0) -> bytes:
    """A scale on channel 0."""
    track = mido.MidiTrack()
    ticks = round(seconds / n_notes * 960)  # 480 a beat, two beats a second
    for i in range(n_notes):
        track.append(mido.Message("note_on", note=60 + i, velocity=90))
        track.append(mido.Message("note_off", note=60 + i, time=ticks))
    file = io.BytesIO()
    mido.MidiFile(tracks=[track]).save(file=file)
    return file.getvalue()


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    n = min(len(a), len(b))
    return float(np.corrcoef(a[:n], b[:n])[0, 1])


MUSIC = noise(RATE_HZ)


class TestFormats:
    """The waveform of each kind of file."""

    @pytest.mark.parametrize(
        ("file_format", "name"), [("WAV", "a.wav"), ("FLAC", "a.flac"), ("AU", "a.au"), ("AIFF", "a.aif")]
    )
    def test_16_bit_mono_at_the_wanted_rate_stays_exact(self, tmp_path, file_format, name):
        samples = np.random.default_rng(0).integers(-32768, 32768, 4000, dtype=np.int16)
        result = decoded(tmp_path, encoded(samples, file_format=file_format), name)
        assert result.info.problem == ""
        assert result.samples.dtype == np.int16
        assert np.array_equal(result.samples, samples)
        assert result.info.peak == pytest.approx(np.abs(samples.astype(int)).max() / 32768)

    @pytest.mark.parametrize(
        ("file_format", "subtype", "step"),
        [
            ("WAV", "PCM_U8", 1 / 128),
            ("WAV", "PCM_24", 2**-23),
            ("WAV", "PCM_32", 2**-23),
            ("WAV", "FLOAT", 1e-7),
            ("WAV", "DOUBLE", 1e-7),
            ("FLAC", "PCM_24", 2**-23),
            ("AU", "FLOAT", 1e-7),
            ("AIFF", "PCM_24", 2**-23),
        ],
    )
    def test_other_bit_depths_become_float32(self, tmp_path, file_format, subtype, step):
        result = decoded(tmp_path, encoded(MUSIC, file_format=file_format, subtype=subtype))
        assert result.samples.dtype == np.float32
        np.testing.assert_allclose(result.samples, MUSIC, atol=step)

    @pytest.mark.parametrize(
        ("file_format", "subtype", "name"),
        [
            ("OGG", "VORBIS", "a.ogg"),
            ("OGG", "OPUS", "a.opus"),
            ("MP3", "MPEG_LAYER_III", "a.mp3"),
            ("AU", "ULAW", "a.au"),
        ],
    )
    def test_lossy_formats_keep_pitch_and_level(self, tmp_path, file_format, subtype, name):
        result = decoded(tmp_path, encoded(tone(RATE_HZ, 440), RATE_HZ, file_format, subtype), name)
        assert result.info.problem == ""
        assert result.samples.dtype == np.float32
        spectrum = np.abs(np.fft.rfft(result.samples))
        assert np.argmax(spectrum) * RATE_HZ / len(result.samples) == pytest.approx(440, abs=2)
        assert result.info.peak == pytest.approx(0.4, abs=0.06)

    def test_content_counts_not_the_extension(self, tmp_path):
        assert decoded(tmp_path, encoded(MUSIC, file_format="FLAC"), "a.wav").samples.dtype == np.int16

    def test_stereo_is_mixed_to_its_mean(self, tmp_path):
        left, right = tone(4000, 300), tone(4000, 700)
        result = decoded(tmp_path, encoded(np.stack([left, right], axis=1), subtype="FLOAT"))
        assert (result.samples.ndim, result.samples.dtype, result.info.n_channels) == (1, np.float32, 2)
        np.testing.assert_allclose(result.samples, (left + right) / 2, atol=1e-6)

    @pytest.mark.parametrize("rate_hz", [4000, 44100, 48000])
    def test_resampling_keeps_length_and_waveform(self, tmp_path, rate_hz):
        result = decoded(tmp_path, encoded(tone(rate_hz, 440, rate_hz), rate_hz))
        assert result.samples.dtype == np.float32, "rounding after resampling costs up to 1.5 dB"
        assert len(result.samples) == pytest.approx(RATE_HZ, abs=1)
        assert correlation(result.samples[100:-100], tone(RATE_HZ, 440)[100:-100]) > 0.999
        assert (result.info.sample_rate_hz, result.info.duration_s) == (rate_hz, 1.0)

    def test_quiet_music_is_resampled_without_rounding(self, tmp_path):
        quiet = tone(44100, 440, 44100, level=4e-4)
        result = decoded(tmp_path, encoded(quiet, 44100, subtype="FLOAT"))
        assert len(np.unique(result.samples)) > 100


class TestDamaged:
    """Damaged and unusual files; none may raise."""

    @pytest.mark.parametrize(
        "content",
        [
            b"not audio at all",
            b"RIFF\x00\x00\x00\x00WAVE",
            encoded(MUSIC)[:30],
            b"\xff\xfb" + bytes(2000),
            b"ID3" + bytes(100),
            b"fLaC" + bytes(40),
            b"OggS" + bytes(60),
            b"MThd",
            midi()[:20],
        ],
    )
    def test_garbage_is_a_decode_error_with_a_reason(self, tmp_path, content):
        result = decoded(tmp_path, content)
        assert result.samples is None
        assert result.info.problem in {"decode error", "empty"}
        assert len(result.info.reason) > 10

    @pytest.mark.parametrize("content", [b"", encoded(np.zeros(0)), encoded(np.zeros(0), 44100)])
    def test_no_samples(self, tmp_path, content):
        assert decoded(tmp_path, content).info.problem == "empty"

    @pytest.mark.parametrize("name", ["a.au", "a.snd", "a.wav", "a.mp3"])
    def test_text_is_a_decode_error_under_any_name(self, tmp_path, name):
        result = decoded(tmp_path, b"Words, words, words. " * 2000, name)
        assert (result.info.problem, result.samples) == ("decode error", None)
        assert "does not exist" not in result.info.reason

    @pytest.mark.parametrize(
        ("value", "channels", "rate_hz"),
        [(np.nan, 1, RATE_HZ), (np.inf, 2, RATE_HZ), (-np.inf, 1, 11025), (1e30, 2, 11025)],
    )
    def test_nan_and_infinite_samples_are_counted_and_zero(self, tmp_path, value, channels, rate_hz):
        samples = np.repeat(MUSIC[:, None], channels, axis=1)
        samples[100, -1] = value
        result = decoded(tmp_path, encoded(samples, rate_hz, subtype="FLOAT"))
        assert result.info.not_finite == pytest.approx(1 / samples.size)
        assert result.info.clipped == 0
        assert np.abs(result.samples).max() < 1
        assert result.info.peak == pytest.approx(0.3, abs=0.01)

    def test_samples_over_full_scale_are_decoded(self, tmp_path):
        result = decoded(tmp_path, encoded(MUSIC * 8, subtype="FLOAT"))
        assert result.info.problem == ""
        assert result.info.peak > 1

    def test_a_truncated_file_keeps_its_samples(self, tmp_path):
        result = decoded(tmp_path, encoded(MUSIC)[:-4000])
        assert len(result.samples) == RATE_HZ - 2000

    def test_a_header_with_a_wrong_length_takes_no_memory(self, tmp_path):
        flac = bytearray(encoded(MUSIC, file_format="FLAC"))
        n_samples = int.from_bytes(flac[18:26], "big") | (2**36 - 1)
        flac[18:26] = n_samples.to_bytes(8, "big")
        assert decoded(tmp_path, bytes(flac), "a.flac").info.problem in {"decode error", ""}

    def test_a_file_over_the_limit_is_not_decoded_to_its_end(self, tmp_path):
        result = decoded(tmp_path, encoded(MUSIC), max_duration_s=0.5)
        assert (result.info.problem, result.samples) == ("too long", None)
        assert "quality.max_duration_s, 0.5 s" in result.info.reason
        assert decoded(tmp_path, encoded(MUSIC), max_duration_s=1.0).info.problem == ""

    @pytest.mark.parametrize("rate_hz", [1, 50, 2**31 - 1])
    def test_a_header_with_an_impossible_rate_is_a_decode_error(self, tmp_path, rate_hz):
        wav = bytearray(encoded(MUSIC))
        wav[24:28] = struct.pack("<I", rate_hz)
        result = decoded(tmp_path, bytes(wav))
        assert result.samples is None
        assert str(rate_hz) in result.info.reason

    def test_three_samples_may_be_too_few_to_resample(self, tmp_path):
        result = decoded(tmp_path, encoded(MUSIC[:3], 192000))
        assert result.samples is None or len(result.samples) > 0

    def test_damaged_files_never_raise(self, tmp_path):
        random = np.random.default_rng(0)
        formats = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]
        contents = [bytearray(encoded(MUSIC[:3000], 8000, *kind)) for kind in formats] + [bytearray(midi())]
        for trial in range(100):
            content = bytearray(contents[trial % len(contents)])
            for place in random.integers(14, len(content), 20):
                content[place] = random.integers(256)
            result = decoded(tmp_path, bytes(content[: random.integers(14, len(content))]))
            assert (result.samples is None) == bool(result.info.problem)
            assert bool(result.info.reason) == bool(result.info.problem)


class TestMeasures:
    """The numbers of quality.csv."""

    @pytest.mark.parametrize("rate_hz", [RATE_HZ, 11025])
    def test_level_and_offset_are_measured_in_the_file(self, tmp_path, rate_hz):
        samples = tone(rate_hz, 440, rate_hz, level=0.4) + np.float32(0.1)
        info = decoded(tmp_path, encoded(samples, rate_hz)).info
        assert info.peak == pytest.approx(0.5, abs=1e-3)
        assert info.dc_offset == pytest.approx(0.1, abs=1e-4)
        assert info.rms == pytest.approx(np.sqrt(0.4**2 / 2 + 0.1**2), abs=1e-4)
        assert (info.encoding, info.duration_s) == ("WAV/PCM_16", 1.0)

    @pytest.mark.parametrize(
        ("subtype", "rate_hz"),
        [("PCM_16", RATE_HZ), ("PCM_16", 11025), ("PCM_U8", RATE_HZ), ("FLOAT", RATE_HZ)],
    )
    def test_clipped_is_the_share_at_full_scale(self, tmp_path, subtype, rate_hz):
        samples = np.clip(2 * tone(RATE_HZ, 100, level=1.0), -1, 1)
        info = decoded(tmp_path, encoded(samples, rate_hz, subtype=subtype)).info
        assert info.clipped == pytest.approx(2 / 3, abs=0.01)
        assert decoded(tmp_path, encoded(0.9 * samples, rate_hz, subtype=subtype)).info.clipped == 0

    def test_the_digest_does_not_depend_on_the_encoding(self, tmp_path):
        exact = np.rint(MUSIC * 32768).astype(np.int16)
        deeper, floating = exact.astype(np.int32) << 16, exact.astype(np.float32) / 32768
        files = [encoded(exact, RATE_HZ, kind) for kind in ("WAV", "FLAC", "AIFF")]
        files += [encoded(deeper, subtype="PCM_24"), encoded(floating, subtype="FLOAT")]
        assert len({decoded(tmp_path, file).info.digest for file in files}) == 1
        cut = decoded(tmp_path, encoded(exact[1:])).info.digest
        assert cut != decoded(tmp_path, files[0]).info.digest

    def test_digests_tell_samples_apart_that_int16_does_not_hold(self, tmp_path):
        exact = np.rint(MUSIC * 32768).astype(np.float32) / 32768
        others = [exact.copy() for _ in range(4)]
        others[1][-1] += 2**-17  # between two steps, after many that are whole
        others[2][-1], others[3][-1] = 1, -1  # 32768 and -32768 are the same number as int16
        files = [encoded(samples, subtype="FLOAT") for samples in others]
        assert len({decoded(tmp_path, file).info.digest for file in files}) == 4

    def test_decoding_in_blocks_gives_the_same_samples(self, tmp_path, monkeypatch):
        whole = decoded(tmp_path, encoded(MUSIC, 11025))
        monkeypatch.setattr("stages.audio.waveform.BLOCK", 1000)
        in_blocks = decoded(tmp_path, encoded(MUSIC, 11025))
        np.testing.assert_allclose(in_blocks.samples, whole.samples, atol=1e-6)


class TestMidi:
    """MIDI is decoded like any other encoding."""

    def test_content_counts_not_the_extension(self, tmp_path):
        for name in ("a.mid", "a.wav"):
            result = decoded(tmp_path, midi(), name)
            assert (result.info.encoding, result.info.problem) == ("MIDI", "")
            assert (result.samples.dtype, len(result.samples)) == (np.float32, 2 * RATE_HZ)
            assert result.info.duration_s == pytest.approx(4.0, abs=0.01)

    def test_windows_follow_each_other(self, tmp_path):
        render = RenderParams(window_s=1.0, windows=3, control=False)
        result = decoded(tmp_path, midi(), render=render)
        assert (result.info.n_windows, len(result.samples)) == (3, 3 * RATE_HZ)


@pytest.fixture(scope="module")
def files():
    """Twelve files by their paths."""
    music, other = noise(12 * RATE_HZ, 1), noise(12 * RATE_HZ, 2)
    nan = np.where(np.arange(len(music)) == 5, np.nan, music)
    loud = np.clip(4 * tone(88200, 440, 44100), -1, 1)
    return {
        "jazz/good16.wav": encoded(music),
        "jazz/garbage.wav": b"this is no audio",
        "jazz/empty.wav": b"",
        "jazz/good24.flac": encoded(0.7 * music, file_format="FLAC", subtype="PCM_24"),
        "jazz/score.mid": midi(),
        "rock/zero.wav": encoded(np.zeros(0)),
        "rock/silent.wav": encoded(np.zeros(RATE_HZ)),
        "rock/nan.wav": encoded(nan, subtype="FLOAT"),
        "rock/stereo44.wav": encoded(np.stack([loud] * 2, axis=1), 44100),
        "rock/short.wav": encoded(MUSIC[: RATE_HZ // 2]),
        "rock/copy.wav": encoded(music),
        "rock/flac.wav": encoded(other, file_format="FLAC"),
    }


class TestCache:
    """A file is decoded once."""

    SETTINGS = DecodeSettings(RATE_HZ, 60.0, WINDOW, "code")

    @pytest.mark.parametrize("names", [("a.mp3", "b.wav"), ("a.wav", "b.mp3")])
    def test_the_suffix_is_part_of_the_key(self, workspace, names):
        """Else the entry of one name is used for the same bytes under another, which decode otherwise."""
        headless = encoded(MUSIC, file_format="MP3", subtype="MPEG_LAYER_III")[500:]
        for name in names:
            Path(name).write_bytes(headless)
        problems = {Path(n).suffix: decode_cached(Path(n), self.SETTINGS).info.problem for n in names}
        for name in names:
            assert decode(Path(name), RATE_HZ, 60.0, WINDOW).info.problem == problems[Path(name).suffix]

    def test_a_changed_file_is_decoded_again(self, workspace):
        path = Path("a.wav")
        for n_samples in (RATE_HZ, RATE_HZ // 2):
            path.write_bytes(encoded(MUSIC[:n_samples]))
            assert decode_cached(path, self.SETTINGS).info.n_samples == n_samples

    def test_changed_settings_decode_again(self, workspace):
        path = Path("a.mid")
        path.write_bytes(midi())
        longer = replace(self.SETTINGS, render=RenderParams(window_s=3.0, windows=1, control=False))
        other_code = replace(self.SETTINGS, code="other code")
        cached = [decode_cached(path, settings) for settings in (self.SETTINGS, longer, other_code)]
        assert len({audio.key for audio in cached}) == 3
        assert cached[1].info.n_samples == 3 * RATE_HZ


@pytest.fixture(scope="module")
def decoded_once(fork_server, module_workspace, files):
    """A workspace with the decoded files."""
    write_raw(files, LABELS)
    write_params()
    stage.main()


@pytest.fixture
def raw(fork_server, workspace, files):
    """./data/raw with all files, and the parameters."""
    write_raw(files, LABELS)
    write_params()


def quality_rows() -> dict[str, Quality]:
    return {row.path: row for row in read_rows(Path("data/audio/quality.csv"), Quality)}


LABELS = ["jazz"] * 5 + ["rock"] * 7


@pytest.mark.usefixtures("decoded_once")
class TestOutputs:
    """The outputs of `python -m stages.decode` for a folder of good and bad files."""

    def test_every_file_is_listed_as_kept_or_dropped(self, files):
        quality = quality_rows()
        assert list(quality) == list(files)
        assert {path: (row.outcome, row.verdict) for path, row in quality.items()} == {
            "jazz/good16.wav": ("kept", "good"),
            "jazz/garbage.wav": ("dropped", "decode error"),
            "jazz/empty.wav": ("dropped", "empty"),
            "jazz/good24.flac": ("kept", "near-duplicate"),
            "jazz/score.mid": ("kept", "good"),
            "rock/zero.wav": ("dropped", "empty"),
            "rock/silent.wav": ("dropped", "silent"),
            "rock/nan.wav": ("dropped", "not finite"),
            "rock/stereo44.wav": ("kept", "clipped"),
            "rock/short.wav": ("dropped", "too short"),
            "rock/copy.wav": ("kept", "duplicate"),
            "rock/flac.wav": ("kept", "mislabelled"),
        }
        assert all(bool(row.reason) == (row.verdict != "good") for row in quality.values())

    def test_the_usable_tracks_name_their_recording(self):
        quality, kept = quality_rows(), read_rows(Path("data/audio/tracks.csv"), AudioTrack)
        assert [row.track_id for row in kept] == [r.track_id for r in quality.values() if r.outcome == "kept"]
        recordings = {track.track_id: track.recording for track in kept if track.recording != track.track_id}
        assert recordings == {"rock/copy.wav": "jazz/good16.wav", "jazz/good24.flac": "jazz/good16.wav"}
        assert quality["rock/copy.wav"].same_as == "jazz/good16.wav"

    def test_the_summary_counts_the_verdicts(self):
        printed = "\n".join(stage.summary([*quality_rows().values()]))
        assert "12 found = 6 kept + 6 dropped" in printed
        assert "dropped: 2 empty, 1 decode error, 1 silent, 1 not finite, 1 too short" in printed
        assert "dropped rock/nan.wav: not finite: has NaN" in printed

    def test_waveforms_have_the_order_of_the_table(self):
        kept = read_rows(Path("data/audio/tracks.csv"), AudioTrack)
        with h5py.File("data/audio/audio.h5") as file:
            assert file.attrs["sample_rate_hz"] == RATE_HZ
            assert len(file["waveform"]) == len(kept)
            for row, track in enumerate(kept):
                dataset = file[f"waveform/{row:06d}"]
                assert dataset.attrs["track_id"].decode() == track.track_id
                assert dataset.shape == (track.n_samples,)
                is_exact = track.track_id in {"jazz/good16.wav", "rock/copy.wav", "rock/flac.wav"}
                assert dataset.dtype == (np.int16 if is_exact else np.float32)


class TestStage:
    """`python -m stages.decode` over the same folder, with changes."""

    def test_rules_decide_which_files_are_kept(self, raw, capsys):
        write_params("quality.on_duplicate=drop", "quality.on_clipped=drop", "quality.on_silent=keep",
                     "quality.on_not_finite=keep", "quality.min_duration_s=0")  # fmt: skip
        stage.main()
        dropped = {path for path, row in quality_rows().items() if row.outcome == "dropped"}
        assert dropped == {
            "jazz/garbage.wav", "jazz/empty.wav", "rock/zero.wav", "rock/copy.wav", "rock/stereo44.wav"
        }  # fmt: skip
        assert "12 found = 7 kept + 5 dropped" in capsys.readouterr().out

    def test_workers_and_the_work_cache_change_no_byte(self, raw):
        """A cold cache, a warm one that must be emptied, and a cold one again."""
        written = []
        for workers, cache_gb in ((1, 20), (2, 0), (2, 20)):
            write_params(f"runtime.workers={workers}", f"runtime.cache_gb={cache_gb}")
            stage.main()
            written.append({path.name: path.read_bytes() for path in Path("data/audio").iterdir()})
            assert bool(list(Path(".encore/entries").glob("*/*"))) == (cache_gb > 0)
        assert written[0] == written[1] == written[2]
        assert sorted(written[0]) == ["audio.h5", "quality.csv", "tracks.csv"]

    def test_decoded_files_are_not_decoded_again(self, raw):
        stage.main()
        before = {path: path.read_bytes() for path in Path("data/audio").iterdir()}
        entries = {path: path.stat().st_ino for path in Path(".encore/entries").glob("*/*")}
        stage.main()
        assert {path: path.stat().st_ino for path in Path(".encore/entries").glob("*/*")} == entries
        assert {path: path.read_bytes() for path in Path("data/audio").iterdir()} == before

    def test_no_usable_file_gives_one_line_and_no_outputs(self, workspace):
        write_raw({"jazz/a.wav": b"garbage", "jazz/b.wav": encoded(np.zeros(100))})
        write_params()
        line = line_of(stage.main)
        assert "none of 2 files can be used" in line
        assert "jazz/a.wav: cannot be decoded" in line
        assert list(Path("data").iterdir()) == [Path("data/raw")]

    def test_no_usable_file_leaves_the_old_outputs(self, workspace):
        write_params()
        write_raw({"jazz/a.wav": b"garbage"})
        old = Path("data/audio/audio.h5")
        old.parent.mkdir()
        old.write_bytes(b"old")
        line_of(stage.main)
        assert old.read_bytes() == b"old"


@pytest.mark.parametrize("content", [b"RIFF, and then nothing", encoded(tone(9000, 880.0)), None])
def test_music_that_has_changed_since_it_was_decoded_ends_in_one_line(workspace, monkeypatch, content):
    write_raw({"a.wav": encoded(tone(8000, 440.0)), "b.wav": encoded(tone(8000, 880.0))})
    write_params()
    found = stage.decode_files

    def changed(*arguments):
        files = found(*arguments)
        path = Path("data/raw/music/b.wav")
        path.unlink() if content is None else path.write_bytes(content)
        return files

    monkeypatch.setattr(stage, "decode_files", changed)
    line = line_of(stage.main)
    assert "data/raw/music/b.wav has changed since it was decoded; leave it alone" in line
    assert not Path("data/audio").exists()


def test_sixteen_bit_samples_have_the_same_measurements_as_floats():
    samples = (20_000 * noise(5000, 1)).clip(-32768, 32767).astype(np.int16)
    samples[:3] = 32767, -32768, -32767
    exact, floating = Meter(), Meter()
    exact.measure_exact(samples, RATE_HZ)
    floating.measure(samples.astype(np.float32)[:, None] / np.float32(32768), RATE_HZ)
    for name in ("peak", "rms", "dc_offset", "clipped", "not_finite", "duration_s"):
        assert getattr(exact, name) == getattr(floating, name), name
    assert exact.clipped == 3 / 5000


def test_a_reference_to_samples_in_the_file_outlives_the_search(tmp_path, monkeypatch):
    """As a profiler's, which Dask's workers have, may do for a moment."""
    held = []
    monkeypatch.setattr(pcm, "checks_of", lambda samples: held.append(samples) or checks_of(samples))
    samples = (noise(1000) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 22050)
    found = pcm.find(tmp_path / "a.wav", samples)
    assert found is not None
    assert found.n_samples == 1000
    np.testing.assert_array_equal(held[0], samples)
