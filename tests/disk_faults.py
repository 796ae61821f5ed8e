"""A disk that fails: the kernel refuses the n-th write, flush or rename of a process, whoever asks for it.

With a filter of system calls (seccomp; Linux 5.5 or newer, no privileges needed) another process decides
about each of them. So libraries in C and Rust are covered, and all that runs is the real code.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
WHERE = {"copy_file_range": 2, "renameat": 1, "renameat2": 1}  # else the first argument
SET_NO_NEW_PRIVS, SET_MODE_FILTER, NEW_LISTENER = 38, 1, 1 << 3
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # instructions of the filter
ALLOW, ASK = 0x7FFF0000, 0x7FC00000
RECEIVE, SEND, GO_ON = 0xC0502100, 0xC0182101, 1
QUESTION, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes
    ----------
    status : int
    output : str
        What it printed.
    calls : list of str
        Its writes, flushes and renames in the folder; the last one failed, if there were so many.
    """

    status: int
    output: str
    calls: list[str]


def is_possible() -> bool:
    """Return whether this machine has such filters."""
    return os.uname().machine in MACHINES and run(lambda: None, Path("/"), 0, 0).status == 0


def run(work: Callable[[], None], folder: Path, n: int, error: int) -> Ended:
    """Run `work` in a forked process, with `folder` on a disk whose n-th call, from 1, fails with `error`."""
    ours, theirs = socket.socketpair()
    out, printed = os.pipe()
    if (child := os.fork()) == 0:
        _work(work, theirs, printed)
    theirs.close()
    os.close(printed)
    _, listeners, _, _ = socket.recv_fds(ours, 1, 1)
    calls = _answer(listeners[0], ours, folder, n, error) if listeners else []
    with os.fdopen(out, encoding="utf-8") as file:
        output = file.read()
    ours.close()
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output, calls)


def _work(work: Callable[[], None], channel: socket.socket, printed: int) -> None:
    """Do the work under the filter, and end the process."""
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    sys.stdout = sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    status = 1
    try:
        socket.send_fds(channel, [b"."], [_filtered()])
        work()
        status = 0
    except SystemExit as ended:  # as Python ends
        print(ended.code)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


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


def _answer(listener: int, child: socket.socket, folder: Path, n: int, error: int) -> list[str]:
    """Answer the questions until the child has ended."""
    calls: list[str] = []
    names = MACHINES[os.uname().machine][2]
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(child, select.POLLIN)
    while waiting.poll() == [(listener, select.POLLIN)]:  # else it has ended
        question = bytearray(QUESTION.size)
        fcntl.ioctl(listener, RECEIVE, question)
        key, thread, _, number, _, _, *arguments = QUESTION.unpack(question)
        name, refused = names[number], 0
        path = _path(thread, name, arguments[WHERE.get(name, 0)])
        if path.is_relative_to(folder):
            calls.append(f"{name} {path.relative_to(folder)}")
            refused = error if len(calls) == n else 0
        fcntl.ioctl(listener, SEND, ANSWER.pack(key, 0, -refused, 0 if refused else GO_ON))
    os.close(listener)
    return calls


def _path(thread: int, name: str, argument: int) -> Path:
    """Return what a call is about: an open file, or a name in the memory of the process."""
    process = Path(f"/proc/{thread}")
    if not name.startswith("rename"):
        return (process / "fd" / str(argument)).readlink()
    with (process / "mem").open("rb", buffering=0) as memory:
        memory.seek(argument)
        return (process / "cwd").readlink() / os.fsdecode(memory.read(4096).partition(b"\0")[0])
