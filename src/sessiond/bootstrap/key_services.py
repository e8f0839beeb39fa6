"""Key services by the setting `key_service`: what stands before the colon names the adapter, the rest its key."""

from __future__ import annotations

from sessiond.domain.errors import Misconfigured
from sessiond.services.ports import KeyWrapper


def key_wrapper(name: str) -> KeyWrapper:
    """Return the key service *name*, such as `aws-kms:alias/sessiond`.

    Raises `Misconfigured` when its library is not installed, or when it cannot be reached in safety.
    """
    _, _, key = name.partition(":")
    try:
        from sessiond.bootstrap.aws_kms import AwsKms  # noqa: PLC0415  its library is an extra, and large
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"key_service needs the Python package {error.name}, which an extra of sessiond installs: "
            "pip install 'sessiond[aws]'"
        ) from error
    return AwsKms(key)
