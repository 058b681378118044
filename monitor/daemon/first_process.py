"""Being PID 1 of a container: processes that lost their parent become its children, and it must reap them.

A `command` that leaves others behind leaves them to us. The service itself waits for children it knows; so a process of
its own stays in front of it, which passes signals on and reaps whatever ends.
"""

import os
import signal

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def reap_as_first(first: int = 1) -> None:
    """Where this process is PID `first`: go on in a child, and stay as its parent until it ends, with its exit code."""
    if os.getpid() != first:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})
    service = os.fork()
    if service == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while (code := _ended(service)) is None:
        number = signal.sigwait({*_PASSED_ON, signal.SIGCHLD})
        if number in _PASSED_ON:
            os.kill(service, number)
    os._exit(code)


def _ended(service: int) -> int | None:
    """Reap what has ended; the service's exit code if it is among it, as a shell reports it."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 1                     # the service was reaped by nobody else: this cannot be
        if pid == 0:
            return None
        if pid == service:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
