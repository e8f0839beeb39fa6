"""What the first start tells people, once: where things are, never what is in them."""

from __future__ import annotations

from sessiond.bootstrap.opening import Opened, without_password
from sessiond.config.secret_files import KEY_NAME, MASTER_TOKEN_NAME, SERVER_KEY_NAME
from sessiond.config.secrets import GivenSecret


def first_start_text(opened: Opened) -> str:
    """Return where a new installation keeps what it made; said once."""
    secrets, files = opened.loaded.secrets, opened.files

    def place(given: GivenSecret | None, name: str) -> str:
        return f"given by {given.origin}" if given is not None else str(files.path(name).absolute())

    service = opened.settings.key_service
    kept = "  (keep a copy apart from the database)"
    wrapping_key = f"wrapped by {service}" if service else place(secrets.key, KEY_NAME) + kept
    rows = {
        "database": without_password(opened.settings.database_url),
        "wrapping key": wrapping_key,
        "server key": place(secrets.server_key, SERVER_KEY_NAME) + "  (for your application)",
        "master token": place(secrets.master_token, MASTER_TOKEN_NAME) + "  (for the operator)",
    }
    lines = [f"  {name:<13} {where}" for name, where in rows.items()]
    return "\n".join(["A new installation was made. This is said once:", *lines])
