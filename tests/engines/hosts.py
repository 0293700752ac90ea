"""Machines of a test: namespaces with a host name and processes of their own, on one kernel."""

import subprocess
from functools import cache

#: Runs a command as the first process of a machine; when it is killed, the kernel kills all processes of the machine.
_ISOLATED = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


@cache
def can_isolate() -> bool:
    """Whether this user may create namespaces."""
    try:
        return subprocess.run([*_ISOLATED, "true"], capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


def on_host(name: str) -> list[str]:
    """Return the words before a command that runs it on a machine of this name."""
    return [*_ISOLATED, "sh", "-c", f'hostname {name} && exec "$0" "$@"']
