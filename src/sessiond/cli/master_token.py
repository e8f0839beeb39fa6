"""`sessiond master-token`: what the operator presents."""

from __future__ import annotations

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.show import harmless
from sessiond.config.secret_files import MASTER_TOKEN_NAME
from sessiond.crypto.purposes import Purpose
from sessiond.domain.errors import NotFound, StateConflict

app = group("The operator's master token.")


@verb(app, "show")
async def show(opened: Opened) -> Answer:
    """Print the master token that this machine keeps."""
    path = opened.files.path(MASTER_TOKEN_NAME)
    kept = opened.files.read(MASTER_TOKEN_NAME)
    if kept is None:
        raise NotFound(
            "master_token_not_kept",
            f"There is no {path}: the token was given by SESSIOND_MASTER_TOKEN and is not kept here. "
            "`sessiond master-token rotate` makes a new one.",
        )
    text = kept.reveal()
    keys = opened.services.keys
    if not keys.is_master(keys.lookup(Purpose.LOOKUP_MASTER_TOKEN, text)):
        raise StateConflict(
            "master_token_outdated",
            f"{path} holds a former master token: it was rotated on another machine. Look there, or rotate it here.",
        )
    return Answer({"master_token": text}, (harmless(text),))


@verb(app, "rotate")
async def rotate(opened: Opened) -> Answer:
    """Replace the master token and print the new one; every operator session ends."""
    text = (await opened.services.operators.rotate_master_token(by=BY)).reveal()
    path = opened.files.path(MASTER_TOKEN_NAME)
    lines = (
        harmless(text),
        harmless(f"It is kept in {path}. The former one and every operator session have ended."),
    )
    return Answer({"master_token": text, "file": str(path)}, lines)
