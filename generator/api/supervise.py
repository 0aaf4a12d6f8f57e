"""A program with everything that it starts, ended together with the process that wanted it.

Run as ``python -I -S supervise.py PARENT COMMAND...``: it needs nothing of the package. The command
has a process group of its own (a compiler starts compilers), which is killed when the process
PARENT ends, even by SIGKILL, or when this one gets SIGTERM. Its exit status is the command's.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_child = 0


def _bind(number: signal.Signals, parent: int) -> None:
    """Get a signal when the parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os._exit(1)


def _stop(number: int, frame: object) -> None:
    if _child:
        try:
            os.killpg(_child, signal.SIGKILL)
        except OSError:
            os.kill(_child, signal.SIGKILL)
    os._exit(128 + number)


def _start(command: list[str]) -> int:
    own = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number in (*_ENDING, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _bind(signal.SIGKILL, own)
        os.execvp(command[0], command)
    except BaseException as error:
        os.write(2, f"{command[0]}: {error}\n".encode(errors="replace"))
    os._exit(127)


def main() -> None:
    """The supervisor; ends as its command does."""
    global _child
    # Until the command's number is known, what would end this process waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    for number in _ENDING:
        signal.signal(number, _stop)
    _bind(signal.SIGTERM, int(sys.argv[1]))
    _child = _start(sys.argv[2:])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    code = os.waitstatus_to_exitcode(os.waitpid(_child, 0)[1])
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
