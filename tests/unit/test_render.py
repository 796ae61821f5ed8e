"""MIDI is played at the right pitch, level and length, and bad files are refused."""

import contextlib
import io

import mido
import numpy as np
import pytest

from stages.audio import render as rendering
from stages.audio.render import TARGET_PEAK, TARGET_RMS, levelled, render, render_windows
from stages.core.errors import EncoreError

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


def test_quiet_and_loud_files_are_levelled_to_the_same_samples():
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


def test_a_track_with_a_spike_does_not_clip():
    samples = np.zeros(10_000)
    samples[5_000] = 3.0
    assert np.abs(levelled(samples)).max() == pytest.approx(TARGET_PEAK)


def test_same_bytes_twice():
    midi = song(*note(60), *note(64), *note(36, channel=9))
    assert render(midi, RATE, 2.0).tobytes() == render(midi, RATE, 2.0).tobytes()


@pytest.mark.parametrize("midi", [b"", b"not MIDI at all", b"MThd", song(*note(60))[:10]])
def test_unreadable_midi_is_refused_in_one_line(midi):
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


def test_a_missing_font_is_one_line(monkeypatch):
    monkeypatch.setattr(rendering, "FONT", "Gone.sf2")
    with pytest.raises(EncoreError, match=r"^Gone\.sf2: not found .* reinstall"):
        render(song(*note(60)), RATE, 0.5)


def test_the_font_is_found_without_importing_pretty_midi():
    import subprocess
    import sys

    code = "import sys, stages.audio.render as r; r.font_path(); print('pretty_midi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def tone(pitch, start_s, stop_s, channel=0, velocity=90):
    """A note as (time in s, message) pairs."""
    return [
        (start_s, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)),
        (stop_s, mido.Message("note_off", channel=channel, note=pitch)),
    ]


def score(*timed):
    """A file of (time in s, message) pairs, a tick being a millisecond."""
    now, messages = 0, []
    for time_s, message in sorted(timed, key=lambda pair: pair[0]):
        messages.append(message.copy(time=round(time_s * 1000) - now))
        now = round(time_s * 1000)
    return song(*messages, ticks=500)


def controller(number, value, channel=0):
    return mido.Message("control_change", channel=channel, control=number, value=value)


def program(number):
    return mido.Message("program_change", program=number)


def scale(n_notes, length_s=1.0, **kwargs):
    """Notes one after another, a second apart."""
    return [pair for i in range(n_notes) for pair in tone(48 + i % 24, i, i + length_s, **kwargs)]


def windows(midi, window_s=4.0, n_windows=1, control=False):
    return render_windows(midi, RATE, window_s, n_windows, control)


def loudness(samples):
    return np.sqrt(np.mean(samples.astype(float) ** 2))


def pitch_hz(samples):
    return np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * RATE / len(samples)


def test_windows_have_their_number_length_and_level():
    rendered = windows(score(*scale(20)), n_windows=3)
    assert rendered.samples.dtype == np.float32
    assert rendered.samples.shape == (3 * 4 * RATE,)
    assert rendered.n_windows == 3
    assert rendered.duration_s == pytest.approx(20.0, abs=2e-3)
    assert loudness(rendered.samples) == pytest.approx(TARGET_RMS, rel=1e-4)


@pytest.mark.parametrize(
    ("duration_s", "wanted", "n_windows", "n_samples"),
    [
        (20, 5, 5, 20 * RATE),
        (19, 5, 4, 16 * RATE),
        (4, 3, 1, 4 * RATE),
        (2, 3, 1, 3 * RATE),
        (3.5, 1, 1, 4 * RATE),
    ],
)
def test_only_windows_that_fit_are_played(duration_s, wanted, n_windows, n_samples):
    rendered = windows(score(*tone(60, 0, duration_s)), n_windows=wanted)
    assert (rendered.n_windows, len(rendered.samples)) == (n_windows, n_samples)


def test_a_single_window_is_the_start():
    midi = score(*scale(20))
    np.testing.assert_array_equal(windows(midi).samples, render(midi, RATE, 4.0))


def test_windows_sound_like_the_same_part_of_the_whole():
    # every controller before the windows matters in them: volume, pan, bend range through its number, bend
    setting = [(0, program(48)), (0.1, controller(7, 90)), (0.1, controller(10, 20))]
    bend = [(0.2, controller(101, 0)), (0.3, controller(100, 0)), (0.4, controller(6, 12))]
    bend += [
        (0.5, controller(100, 127)),
        (0.5, controller(101, 127)),
        (0.6, mido.Message("pitchwheel", pitch=4096)),
    ]
    midi = score(*setting, *bend, *scale(20, 0.9))
    whole = render(midi, RATE, 20.0)
    rendered = windows(midi, n_windows=3).samples.reshape(3, -1)
    for start_s, window in zip([0, 7.95, 15.9], rendered, strict=True):
        assert loudness(window) > 0.01
        for second in range(4):
            there = whole[round((start_s + second) * RATE) :][:RATE]
            here = window[second * RATE :][:RATE]
            spectra = [np.abs(np.fft.rfft(samples)) for samples in (here, there)]
            assert np.corrcoef(*spectra)[0, 1] > 0.99


@pytest.mark.parametrize("note_program", [19, 48])
def test_a_note_held_from_before_a_window_sounds_in_it(note_program):
    midi = score((0, program(note_program)), *tone(69, 0.5, 19), *tone(40, 19.5, 20, velocity=1))
    held = windows(midi, n_windows=3).samples.reshape(3, -1)[1]
    assert loudness(held[:RATE]) > 0.02
    octaves = np.log2(pitch_hz(held) / 440)
    assert octaves == pytest.approx(round(octaves), abs=0.02)


def test_an_ended_or_endless_note_is_not_played_again():
    (forgotten, _), over, late = tone(69, 1, 2), tone(72, 1, 2), tone(40, 19, 20)
    middle = windows(score(forgotten, *over, *late), n_windows=3).samples.reshape(3, -1)[1]
    assert loudness(middle) < 1e-3


def test_a_note_keeps_the_program_it_was_played_with():
    organ = [(0, program(19)), *tone(69, 1, 20)]
    changed = windows(score(*organ, (3, program(115))), n_windows=3).samples
    np.testing.assert_allclose(changed, windows(score(*organ), n_windows=3).samples, atol=1e-3)


@pytest.mark.parametrize("control", [False, True])
def test_a_note_on_with_velocity_zero_ends_the_note(control):
    def scale_ended_by(end):
        return score(
            *(pair for i in range(12) for pair in [tone(48 + i, i, i)[0], (i + 2, end.copy(note=48 + i))])
        )

    ends = mido.Message("note_off"), mido.Message("note_on", velocity=0)
    one, other = (windows(scale_ended_by(end), n_windows=3, control=control) for end in ends)
    np.testing.assert_array_equal(one.samples, other.samples)
    assert one.duration_s == other.duration_s == pytest.approx(13.0, abs=2e-3)


def test_the_control_plays_only_the_notes():
    def two_voices(velocity, *extra):
        drums = [(0.25, mido.Message("note_on", channel=9, note=38, velocity=velocity))]
        return score(
            *scale(12, velocity=velocity), *scale(12, 2, channel=3, velocity=velocity), *drums, *extra
        )

    plain = two_voices(64)
    bend = mido.Message("pitchwheel", channel=3, pitch=5000)
    styled = two_voices(111, (0, program(56)), (2, controller(7, 30, 3)), (3, bend), (4, controller(64, 127)))
    one, other = (windows(midi, n_windows=2, control=True).samples for midi in (plain, styled))
    np.testing.assert_array_equal(one, other)
    assert (windows(plain, n_windows=2).samples != windows(styled, n_windows=2).samples).any()


def test_the_control_omits_drums_and_keeps_the_windows():
    midi = score(*scale(8), *tone(38, 18, 20, channel=9))
    rendered = [windows(midi, n_windows=5, control=alone) for alone in (False, True)]
    assert [r.duration_s for r in rendered] == [pytest.approx(20.0, abs=2e-3)] * 2
    drummed, alone = (loudness(r.samples[-4 * RATE :]) for r in rendered)
    assert drummed > 0.001
    assert alone < 1e-6
    silence = r"^MIDI file plays as silence \(1 x 4 s from 0 s on, without its drums\); leave it out$"
    with pytest.raises(EncoreError, match=silence):
        windows(score(*tone(38, 0, 1, channel=9)), control=True)


def test_a_window_without_sound_is_named():
    midi = score((0, controller(7, 0)), (0, controller(11, 0)), *scale(20))
    with pytest.raises(
        EncoreError, match=r"^MIDI file plays as silence \(3 x 4 s from 0 s on\); leave it out$"
    ):
        windows(midi, n_windows=3)


def test_windows_have_the_same_bytes_in_another_process():
    import hashlib
    import subprocess
    import sys

    midi = score((0, program(48)), *scale(12), *tone(36, 3, 4, channel=9))
    code = (
        "import hashlib, sys; from stages.audio.render import render_windows as r; "
        f"print(hashlib.sha256(r(sys.stdin.buffer.read(), {RATE}, 4.0, 2, False).samples).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], input=midi, capture_output=True, check=True)
    assert done.stdout.decode().strip() == hashlib.sha256(windows(midi, n_windows=2).samples).hexdigest()


def test_a_first_track_that_starts_late_is_played():
    file = mido.MidiFile(type=1, ticks_per_beat=500)
    for pitch, start in [(60, 3000), (72, 0)]:
        on, off = note(pitch)
        file.tracks.append(mido.MidiTrack([on.copy(time=start), off.copy(time=1000)]))
    buffer = io.BytesIO()
    file.save(file=buffer)
    rendered = windows(buffer.getvalue(), window_s=5.0)
    assert rendered.duration_s == pytest.approx(4.0, abs=2e-3)
    assert loudness(rendered.samples[round(3.1 * RATE) : round(3.9 * RATE)]) > 0.02


def header(n_tracks=1, division=480, kind=0):
    return b"MThd" + b"".join(
        n.to_bytes(size, "big") for n, size in [(6, 4), (kind, 2), (n_tracks, 2), (division, 2)]
    )


def chunk(events):
    return b"MTrk" + len(events).to_bytes(4, "big") + events


NOTE = bytes.fromhex("00 90 3C 50 83 60 80 3C 00")
LONGEST = bytes.fromhex("FF FF FF 7F")  # the longest time between events
LONG_NOTE = LONGEST + bytes.fromhex("90 3C 50") + LONGEST + bytes.fromhex("80 3C 00")


@pytest.mark.parametrize(
    ("midi", "reason"),
    [
        (b"RIFF" + bytes(16) + header() + chunk(NOTE), "does not start with MThd"),
        (header(division=0) + chunk(NOTE), "no ticks per beat"),
        (header(division=0xE700) + chunk(NOTE), "no ticks per beat"),
        (header(n_tracks=65_535) + chunk(NOTE), "claims 65535 tracks"),
        (header() + chunk(NOTE * 200_000), r"1\.7 MiB, over the limit of 1"),
        (header() + chunk(LONG_NOTE), r"^MIDI file claims to last 155 hours; leave it out$"),
        (header(n_tracks=3) + chunk(b"") * 3, r"^MIDI file has no notes; leave it out$"),
        (header() + chunk(bytes.fromhex("00 80 3C 00")), r"^MIDI file has no notes; leave it out$"),
        (
            header(n_tracks=0) + chunk(NOTE),
            r"has no notes: it plays 0 of its 1 tracks, since its header counts no more; export it again$",
        ),
    ],
)
def test_unusable_files_are_refused_in_one_line(midi, reason):
    with pytest.raises(EncoreError, match=reason) as caught:
        windows(midi, n_windows=5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("midi", "duration_s"),
    [
        (header() + chunk(bytes.fromhex("00 FF 51 03 00 00 00") + NOTE * 50), 0.0),
        (header(kind=2) + chunk(NOTE * 2), 1.0),
        (header(kind=9) + chunk(NOTE * 2), 1.0),
        (header(division=0xE728) + chunk(NOTE), 0.48),
        (header() + b"MTrk\xff\xff\xff\xff" + NOTE, 0.5),
        (header(n_tracks=2) + chunk(NOTE) + b"MTrk\x7f\xff\xff\xff" + NOTE, 0.5),
        (header() + chunk(b"".join(bytes([0, 144, k % 128, 80]) for k in range(9999)) + NOTE), 0.5),
        (header() + chunk(bytes.fromhex("00 90 3C 50")), 0.0),
    ],
    ids=[
        "no tempo",
        "format 2",
        "format 9",
        "SMPTE",
        "no length",
        "cut short",
        "thousands at once",
        "never ends",
    ],
)
def test_odd_files_play(midi, duration_s):
    rendered = windows(midi, n_windows=5)
    assert rendered.duration_s == pytest.approx(duration_s, abs=2e-3)
    assert np.isfinite(rendered.samples).all()
    assert len(rendered.samples) == round((rendered.duration_s + 1) * RATE)


def test_hostile_claims_take_little_memory():
    import tracemalloc

    spread = score(*tone(60, 0, 1), *(pair for i in range(80) for pair in tone(60, i * 1000, i * 1000 + 1)))
    tracemalloc.start()
    rendered = windows(spread, n_windows=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rendered.duration_s > 79_000
    assert peak < 32 * 2**20


def test_mutated_files_never_crash():
    rng = np.random.default_rng(0)
    midi = score((0, program(48)), (1, controller(64, 127)), *scale(10), *tone(36, 3, 4, channel=9))
    for _ in range(25):
        mutated = np.frombuffer(midi, dtype=np.uint8).copy()
        mutated[rng.integers(4, len(midi), 5)] = rng.integers(0, 256, 5)
        with contextlib.suppress(EncoreError):
            assert np.isfinite(windows(mutated.tobytes(), window_s=0.2, n_windows=2).samples).all()
