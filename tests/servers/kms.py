"""AWS KMS as moto plays it: a real HTTP server on loopback, in a thread of the tests."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping

import botocore.session
from moto.server import ThreadedMotoServer

from tests.server_process import free_port

REGION = "eu-central-1"


class KmsServer:
    """A key service that can be shut down and be there again, with its keys."""

    def __init__(self) -> None:
        self._server: ThreadedMotoServer | None = None
        self._port = free_port()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.come_back()
        self._client = botocore.session.get_session().create_client(
            "kms",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @classmethod
    @contextlib.contextmanager
    def started(cls) -> Iterator[KmsServer]:
        """Start one, and stop it in the end."""
        server = cls()
        try:
            yield server
        finally:
            server.go_away()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which AWS' own tools find it."""
        return {
            "AWS_ENDPOINT_URL_KMS": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def new_key(self) -> str:
        """Make a symmetric key and return its ARN."""
        return str(self._client.create_key()["KeyMetadata"]["Arn"])

    def unwrapped(self, key: str, wrapped: bytes, install_id: str) -> bytes:
        """Return what *wrapped* holds, as an administrator of the service sees it."""
        answer = self._client.decrypt(
            KeyId=key, CiphertextBlob=wrapped, EncryptionContext={"sessiond:installation": install_id}
        )
        return bytes(answer["Plaintext"])

    def go_away(self) -> None:
        """Answer nobody until it comes back."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def come_back(self) -> None:
        """Answer, at the same place as before."""
        if self._server is None:
            self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
            self._server.start()
