"""A disk that fails: the kernel refuses the n-th write, flush or rename of a process.

With a filter of system calls (seccomp; Linux 5.5 or newer, no privileges needed) another process decides
about each of them. So calls from libraries in C and Rust are covered too, and no code is replaced.
"""

import contextlib
import ctypes
import errno
import fcntl
import io
import os
import select
import socket
import struct
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Of each machine: its number, that of seccomp(2), and of the calls that may fail; which argument says where.
MACHINES = {
    "x86_64": (0xC000003E, 317, {
        1: "write", 18: "pwrite", 20: "writev", 296: "pwritev", 40: "sendfile", 326: "copy_file_range",
        77: "ftruncate", 74: "fsync", 75: "fdatasync", 82: "rename", 264: "renameat", 316: "renameat2",
    }),
    "aarch64": (0xC00000B7, 277, {
        64: "write", 68: "pwrite", 66: "writev", 70: "pwritev", 71: "sendfile", 285: "copy_file_range",
        46: "ftruncate", 82: "fsync", 83: "fdatasync", 38: "renameat", 276: "renameat2",
    }),
}  # fmt: skip
WRITES = ("write", "pwrite", "writev", "pwritev", "sendfile", "copy_file_range")
WHERE = {"copy_file_range": 2, "renameat": 1, "renameat2": 1}  # else the first argument
SET_NO_NEW_PRIVS, SET_MODE_FILTER, NEW_LISTENER = 38, 1, 1 << 3
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # instructions of the filter
ALLOW, ASK = 0x7FFF0000, 0x7FC00000
RECEIVE, SEND, GO_ON = 0xC0502100, 0xC0182101, 1
QUESTION, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")


class Ended(NamedTuple):
    """How a piece of work ended.

    Attributes
    ----------
    status : int
        As of a process.
    output : str
        What it printed.
    calls : list of str
        Its writes, flushes and renames in the folder, in order.
    """

    status: int
    output: str
    calls: list[str]


def is_possible() -> bool:
    """Return whether this machine has such filters."""
    if os.uname().machine not in MACHINES:
        return False
    with FailingDisk(Path("/"), lambda: None) as disk:
        return disk.run(0, 0).status == 0


class FailingDisk:
    """A process, forked from this one, that does a piece of work again and again on a disk that fails.

    Parameters
    ----------
    folder : Path
        What lies elsewhere never fails.
    work : callable
        May end in SystemExit.
    """

    def __init__(self, folder: Path, work: Callable[[], None]):
        self._folder = folder
        self._work = work

    def __enter__(self) -> "FailingDisk":
        self._channel, theirs = socket.socketpair()
        self._process = os.fork()
        if self._process == 0:
            self._channel.close()
            _serve(self._work, theirs)
        theirs.close()
        _, listeners, _, _ = socket.recv_fds(self._channel, 1, 1)
        self._listener = listeners[0] if listeners else None
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        if self._listener is not None:
            os.close(self._listener)
        os.waitpid(self._process, 0)

    def run(self, n: int, error: int) -> Ended:
        """Do the work once; its n-th call, from 1, fails with `error`.

        A full disk (ENOSPC) stays full: what is written later fails, too.
        """
        if self._listener is None:
            return Ended(1, "no seccomp", [])
        self._channel.send(b".")
        calls = self._answer(self._listener, n, error)
        if ended := self._channel.recv(1 << 20):
            return Ended(ended[0], ended[1:].decode(), calls)
        return Ended(255, "the process has died", calls)

    def _answer(self, listener: int, n: int, error: int) -> list[str]:
        """Answer the questions about the calls until the work has ended."""
        calls: list[str] = []
        names = MACHINES[os.uname().machine][2]
        waiting = select.poll()
        waiting.register(listener, select.POLLIN)
        waiting.register(self._channel, select.POLLIN)
        while waiting.poll() == [(listener, select.POLLIN)]:
            question = bytearray(QUESTION.size)
            fcntl.ioctl(listener, RECEIVE, question)
            key, thread, _, number, _, _, *arguments = QUESTION.unpack(question)
            name, refused = names[number], 0
            path = _path(thread, name, arguments[WHERE.get(name, 0)])
            if path.is_relative_to(self._folder):
                calls.append(f"{name} {path.relative_to(self._folder)}")
                is_full = error == errno.ENOSPC and len(calls) > n and name in WRITES
                refused = error if len(calls) == n or is_full else 0
            fcntl.ioctl(listener, SEND, ANSWER.pack(key, 0, -refused, 0 if refused else GO_ON))
        return calls


def _serve(work: Callable[[], None], channel: socket.socket) -> None:
    """Do the work each time that it is asked for; never return."""
    try:
        socket.send_fds(channel, [b"."], [_filtered()])
        while channel.recv(1):
            status, output = _done(work)
            channel.send(bytes([status]) + output.encode())
    finally:
        os._exit(0)


def _done(work: Callable[[], None]) -> tuple[int, str]:
    """Do the work; return the exit status that a process would have, and what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            work()
        except SystemExit as ended:
            print(ended.code)
        except BaseException:
            traceback.print_exc()
        else:
            return 0, printed.getvalue()
    return 1, printed.getvalue()


def _filtered() -> int:
    """Put this process under a filter that asks about each of the calls; return where it asks."""
    arch, seccomp, calls = MACHINES[os.uname().machine]
    numbers = [*calls]
    program = [(LOAD, 0, 0, 4), (IF_EQUAL, 0, len(numbers) + 1, arch), (LOAD, 0, 0, 0)]
    program += [(IF_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ASK)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    whole = struct.pack("@HP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener: int = libc.syscall(seccomp, SET_MODE_FILTER, NEW_LISTENER, whole)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "no seccomp")
    return listener


def _path(thread: int, name: str, argument: int) -> Path:
    """Return what a call is about: an open file, or a name in the memory of the process."""
    process = Path(f"/proc/{thread}")
    if not name.startswith("rename"):
        return (process / "fd" / str(argument)).readlink()
    with (process / "mem").open("rb", buffering=0) as memory:
        memory.seek(argument)
        return (process / "cwd").readlink() / os.fsdecode(memory.read(4096).partition(b"\0")[0])
