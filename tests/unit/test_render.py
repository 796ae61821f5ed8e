import contextlib
import io

import mido
import numpy as np
import pytest

from stages.audio import render as rendering
from stages.audio.render import TARGET_PEAK, TARGET_RMS, levelled, render
from stages.errors import EncoreError

RATE = 22_050


def song(*messages, ticks=480):
    track = mido.MidiTrack(messages)
    file = mido.MidiFile(type=0, ticks_per_beat=ticks)
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def note(pitch, velocity=90, channel=0, beats=1):
    return [
        mido.Message("note_on", channel=channel, note=pitch, velocity=velocity),
        mido.Message("note_off", channel=channel, note=pitch, time=480 * beats),
    ]


def test_length_and_level():
    samples = render(song(*note(60, beats=4)), RATE, 1.5)
    assert samples.dtype == np.float32
    assert samples.shape == (33_075,)
    assert np.sqrt(np.mean(samples.astype(float) ** 2)) == pytest.approx(TARGET_RMS, rel=1e-4)


def test_quiet_and_loud_files_come_out_alike():
    quiet, loud = (render(song(*note(60, velocity, beats=4)), RATE, 1.0) for velocity in (20, 120))
    np.testing.assert_allclose(quiet, loud, atol=1e-4)


@pytest.mark.parametrize("pitch", [57, 69])
def test_pitch(pitch):
    flute = mido.Message("program_change", program=73)
    samples = render(song(flute, *note(pitch, beats=4)), RATE, 2.0)
    spectrum = np.abs(np.fft.rfft(samples[: 2 * RATE]))
    peak_hz = np.argmax(spectrum) / 2
    octaves = np.log2(peak_hz / (440 * 2 ** ((pitch - 69) / 12)))
    assert octaves == pytest.approx(round(octaves), abs=0.02)


@pytest.mark.parametrize("channel", range(16))
def test_every_channel_sounds_without_a_program_change(channel):
    samples = render(song(*note(40, channel=channel)), RATE, 0.5)
    assert np.abs(samples).max() > 0.1


def test_a_spike_is_turned_down_rather_than_clipped():
    samples = np.zeros(10_000)
    samples[5_000] = 3.0
    assert np.abs(levelled(samples)).max() == pytest.approx(TARGET_PEAK)


def test_same_bytes_twice():
    midi = song(*note(60), *note(64), *note(36, channel=9))
    assert render(midi, RATE, 2.0).tobytes() == render(midi, RATE, 2.0).tobytes()


@pytest.mark.parametrize("midi", [b"", b"not MIDI at all", b"MThd", song(*note(60))[:10]])
def test_unreadable_midi_is_one_clear_line(midi):
    with pytest.raises(EncoreError, match=r"^not a readable MIDI file \(.+\); leave it out$") as caught:
        render(midi, RATE, 1.0)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_never_crashes():
    midi = song(*note(60), *note(64))
    for length in range(len(midi)):
        with contextlib.suppress(EncoreError):
            assert np.isfinite(render(midi[:length], RATE, 0.05)).all()


def test_silence_is_refused():
    with pytest.raises(EncoreError, match=r"plays as silence for its first 0\.5 s"):
        render(song(mido.Message("program_change", program=3)), RATE, 0.5)


def test_a_missing_font_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(rendering, "FONT", "Gone.sf2")
    with pytest.raises(EncoreError, match=r"^Gone\.sf2: not found .* reinstall"):
        render(song(*note(60)), RATE, 0.5)


def test_the_font_is_found_without_importing_pretty_midi():
    import subprocess
    import sys

    code = "import sys, stages.audio.render as r; r.font_path(); print('pretty_midi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
