"""The wrapping keys of this machine: the present one, and the next while the key ring moves to it.

They lie here, or a key service keeps what opens them: then the deployment's record has the key, wrapped by it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from sessiond.bootstrap.key_services import key_wrapper
from sessiond.config.loading import Loaded
from sessiond.config.secret_files import KEY_NAME, NEXT_KEY_NAME, SecretFiles
from sessiond.config.secrets import GivenSecret, decode_key
from sessiond.crypto.ring import KeyRing
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.projects import Deployment
from sessiond.services.ports import KeyWrapper

_WAITED_FOR_SECONDS = 2.0
_ASKED_AGAIN_AFTER_SECONDS = 1.0


class WrappingKeys:
    """Finds the wrapping keys, those that were given before those that lie in files."""

    def __init__(self, loaded: Loaded, files: SecretFiles) -> None:
        self._given = loaded.secrets
        self._files = files
        self._service_name = loaded.settings.key_service
        self._service: KeyWrapper | None = None
        self._unwrapped: tuple[bytes, bytes] | None = None
        self._asking: threading.Thread | None = None
        self._not_before = 0.0

    @property
    def service(self) -> KeyWrapper | None:
        """The key service of the settings, None where there is none. Raises `Misconfigured`."""
        if self._service is None and self._service_name is not None:
            self._service = key_wrapper(self._service_name)
        return self._service

    def found(self, deployment: Deployment | None) -> Sequence[bytes]:
        """Return every wrapping key at hand for *deployment*, the present one first.

        Raises `Misconfigured` for one that is none or that the key service refuses, `Unavailable`
        (`key_service_unavailable`) while that does not answer.
        """
        if deployment is None or deployment.wrapped_key is None:
            return self._local()
        return [self.unwrap(deployment.wrapped_key, deployment.install_id)]

    def opening(self, deployment: Deployment) -> bytes | None:
        """Return the wrapping key at hand that opens the ring of *deployment*, or None. Raises like `found`."""
        return next((key for key in self.found(deployment) if opens(deployment, key)), None)

    def others(self, deployment: Deployment) -> Sequence[bytes]:
        """Return what `found` would, without those that cannot be had: for a server that is running.

        A key service is waited for, but not for long: requests wait, too. It answers later, or is asked again.
        """
        wrapped = deployment.wrapped_key
        if wrapped is None:
            return self._local(tolerant=True)
        asking = self._asking is not None and self._asking.is_alive()
        if not self._has(wrapped) and not asking and time.monotonic() >= self._not_before:
            self._asking = threading.Thread(
                target=self._ask, args=(wrapped, deployment.install_id), daemon=True
            )
            self._asking.start()
            self._asking.join(_WAITED_FOR_SECONDS)
            self._not_before = time.monotonic() + _ASKED_AGAIN_AFTER_SECONDS
        return [self.unwrap(wrapped, deployment.install_id)] if self._has(wrapped) else []

    def unwrap(self, wrapped: bytes, install_id: str) -> bytes:
        """Return the wrapping key that the key service wrapped. Raises like `found`."""
        known = self._unwrapped
        if known is not None and known[0] == wrapped:
            return known[1]
        service = self.service
        if service is None:
            raise Misconfigured(
                "The wrapping key of this database is wrapped by a key service: set key_service to the one that "
                "`sessiond keys rewrap` was run with"
            )
        key = service.unwrap(wrapped, install_id=install_id)
        self._unwrapped = wrapped, key
        return key

    def present(self) -> bytes | None:
        """Return the present key of this machine, or None where there is none yet."""
        return _decoded(self._given.key) if self._given.key is not None else self.kept(KEY_NAME)

    def next(self) -> bytes | None:
        """Return the next key, or None unless one was given or drawn."""
        given = self._given.next_key
        return _decoded(given) if given is not None else self.kept(NEXT_KEY_NAME)

    def kept(self, name: str) -> bytes | None:
        """Return the wrapping key in the file *name*, or None where there is no such file."""
        text = self._files.read(name)
        return None if text is None else decode_key(text.reveal(), where=str(self._files.path(name)))

    def _has(self, wrapped: bytes) -> bool:
        return self._unwrapped is not None and self._unwrapped[0] == wrapped

    def _ask(self, wrapped: bytes, install_id: str) -> None:
        with contextlib.suppress(Misconfigured, Unavailable):
            self.unwrap(wrapped, install_id)

    def _local(self, *, tolerant: bool = False) -> Sequence[bytes]:
        keys: list[bytes] = []
        sources: Sequence[Callable[[], bytes | None]] = (
            self.present,
            self.next,
            lambda: self.kept(NEXT_KEY_NAME),
        )
        passed_over = (Misconfigured,) if tolerant else ()
        for source in sources:
            with contextlib.suppress(*passed_over):
                key = source()
                keys += [] if key is None else [key]
        return keys


def opens(deployment: Deployment, key: bytes) -> bool:
    """Tell whether the wrapping key *key* opens the ring of *deployment*."""
    try:
        KeyRing.unseal(deployment.ring, key, deployment.install_id)
    except Misconfigured:
        return False
    return True


def _decoded(given: GivenSecret) -> bytes:
    return decode_key(given.secret.reveal(), where=str(given.origin))
