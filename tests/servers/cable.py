"""A network of its own between a node and its database, which may lose everything without a word.

A pair of virtual interfaces, of which one lies in a network namespace, and a proxy that listens there. What is sent
to an address of hardware that nobody has is lost as on a wire that was cut: no reset, no refusal, no answer at all.
Needs root, and `ip` of Debian's package `iproute2`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.server_process import WITHIN_SECONDS

INSTALL = "run as root, with `apt-get install --no-install-recommends iproute2`"
_CLONE_NEWNET = 0x40000000
_NOBODY = "02:00:00:00:00:01"


class Cable:
    """What lies between this namespace (*near*) and its own (*far*)."""

    def __init__(self) -> None:
        pid = os.getpid()
        high, low = divmod(pid % 16384, 64)
        self._near, self._far = (f"198.18.{high}.{4 * low + end}" for end in (1, 2))
        self._name, self._ends = f"sd{pid}", (f"sd{pid}a", f"sd{pid}b")

    @classmethod
    @contextlib.contextmanager
    def laid(cls) -> Iterator[Cable]:
        """Lay the cable, and remove it in the end."""
        assert os.geteuid() == 0 and shutil.which("ip"), INSTALL  # noqa: PT018
        cable = cls()
        near, far = cable._ends
        _ip("netns", "add", cable._name)
        try:
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", cable._name)
            try:
                _ip("address", "add", f"{cable._near}/30", "dev", near)
                _ip("link", "set", near, "up")
                cable._ip_far("address", "add", f"{cable._far}/30", "dev", far)
                cable._ip_far("link", "set", far, "up")
                cable.mend()
                yield cable
            finally:
                _ip("link", "delete", near)  # the namespace lasts as long as a socket in it
        finally:
            _ip("netns", "delete", cable._name)

    def listener(self) -> socket.socket:
        """Return a socket that listens at the far end; who connects to its address goes through the cable."""
        # A namespace is a thread's own, and a socket stays in that of its birth.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._listen).result()

    def lose(self) -> None:
        """Lose everything that is sent from now on, in both directions, and say so to nobody."""
        self._send_to(_NOBODY, _NOBODY)

    def mend(self) -> None:
        """Carry everything again."""
        near, far = self._ends
        self._send_to(
            _hardware(_ip("-o", "link", "show", near)), _hardware(self._ip_far("-o", "link", "show", far))
        )

    def _send_to(self, near: str, far: str) -> None:
        _ip("neighbour", "replace", self._far, "lladdr", far, "dev", self._ends[0], "nud", "permanent")
        self._ip_far(
            "neighbour", "replace", self._near, "lladdr", near, "dev", self._ends[1], "nud", "permanent"
        )

    def _listen(self) -> socket.socket:
        with Path(f"/run/netns/{self._name}").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return socket.create_server((self._far, 0))

    def _ip_far(self, *arguments: str) -> str:
        return _ip("-n", self._name, *arguments)


def _ip(*arguments: str) -> str:
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False
    )
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def _hardware(shown: str) -> str:
    """Return the address of an interface's hardware, as `ip -o link` shows it."""
    words = shown.split()
    return words[words.index("link/ether") + 1]
