"""AWS KMS as the key service: `Encrypt` and `Decrypt` of the wrapping key under one symmetric key.

Credentials, region and endpoint come from where AWS' own tools take them: variables, profiles, the machine's role.
The installation's id is the encryption context, so that what was wrapped for one does not open for another, and each
use is told apart in CloudTrail. The key is named at each `Decrypt`: a row that somebody else's key wrapped is refused.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from typing import Any, NoReturn
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.session import get_session

from sessiond.domain.errors import Misconfigured, Unavailable

_CONTEXT = "sessiond:installation"
_ARN = re.compile(r"arn:[a-z-]+:kms:([a-z0-9-]+):[0-9]+:(?:key|alias)/.+")
_PASSING = frozenset(
    {"DependencyTimeoutException", "KeyUnavailableException", "LimitExceededException", "ThrottlingException"}
)
_SERVER_ERROR = 500
_TALKATIVE = ("botocore", "urllib3")  # at the level debug they log what they send: the key itself
_PATIENCE = Config(connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 2, "mode": "standard"})


class AwsKms:
    """A `KeyWrapper`: the key *key* of AWS KMS, its ARN or alias."""

    def __init__(self, key: str) -> None:
        self._key = key
        for library in _TALKATIVE:
            logging.getLogger(library).setLevel(logging.WARNING)
        arn = _ARN.fullmatch(key)
        try:
            self._client: Any = get_session().create_client(
                "kms", region_name=None if arn is None else arn[1], config=_PATIENCE
            )
        except NoRegionError:
            raise Misconfigured(
                "key_service names no region: give the key's ARN, or set AWS_REGION or AWS_DEFAULT_REGION"
            ) from None
        except (BotoCoreError, ValueError) as error:
            raise Misconfigured(
                f"AWS KMS cannot be used as it is configured: {type(error).__name__}"
            ) from None
        _require_private(self._client.meta.endpoint_url)

    def wrap(self, key: bytes, *, install_id: str) -> bytes:
        """Return *key* as AWS KMS encrypts it."""
        answer = self._asked("encrypt", Plaintext=key, EncryptionContext={_CONTEXT: install_id})
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, *, install_id: str) -> bytes:
        """Return the key that `wrap` was given."""
        answer = self._asked("decrypt", CiphertextBlob=wrapped, EncryptionContext={_CONTEXT: install_id})
        return bytes(answer["Plaintext"])

    def _asked(self, verb: str, **arguments: object) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, verb)(KeyId=self._key, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= _SERVER_ERROR or code in _PASSING:
                self._silent(code)
            raise Misconfigured(
                f"AWS KMS refuses to {verb} the wrapping key with {self._key} ({code}): "
                "check the key, its policy, and the credentials of this machine"
            ) from None
        except NoCredentialsError:
            raise Misconfigured("key_service needs AWS credentials, and this machine has none") from None
        except BotoCoreError as error:
            self._silent(type(error).__name__)
        return answer

    def _silent(self, what: str) -> NoReturn:
        raise Unavailable(
            "key_service_unavailable",
            f"The key service aws-kms:{self._key} does not answer ({what}): try again.",
        ) from None


def _require_private(endpoint: str) -> None:
    """Raise `Misconfigured` for an endpoint over which others could read the key."""
    url = urlsplit(endpoint)
    try:
        loopback = url.hostname == "localhost" or ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        loopback = False
    if url.scheme != "https" and not loopback:
        raise Misconfigured("The endpoint of AWS KMS must be https: the wrapping key is sent to it")
