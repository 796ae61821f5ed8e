"""Runs a command of `encore` in this process."""

import importlib
import sys

import pytest


def asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    *words: str,
    status: int = 0,
) -> str:
    """What it prints; its remarks stay in what `capsys` reads next."""
    monkeypatch.setattr(sys, "argv", [f"encore {command}", *words])
    capsys.readouterr()
    try:
        importlib.import_module(f"stages.{command}").main()
        ended = 0
    except SystemExit as exit_:
        ended = exit_.code
    out, err = capsys.readouterr()
    assert ended == status, err
    print(err, end="")
    return out
