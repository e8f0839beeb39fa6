"""`sessiond config`: the settings, and where each came from."""

from __future__ import annotations

from sessiond.bootstrap.opening import without_password
from sessiond.cli.frame import Answer, Common, group, plain_verb
from sessiond.cli.show import harmless, table
from sessiond.config.coercion import value_text
from sessiond.config.loading import settings_of
from sessiond.config.settings import SECRETS

app = group("The settings, and where each came from.")

_HIDDEN = "(set)"


@plain_verb(app, "show")
def show(common: Common) -> Answer:
    """Show every effective value and where it came from; never a secret."""
    loaded = common.load()
    rows = []
    for setting, value, origin in settings_of(loaded):
        text = value_text(value)
        rows.append(
            (setting.name, without_password(text) if setting.name == "database" else text, str(origin))
        )
    for secret in SECRETS:
        given = loaded.secrets.of(secret)
        rows.append((secret.name, _HIDDEN if given else "none", str(given.origin) if given else "default"))
    data = {name: {"value": value, "origin": origin} for name, value, origin in rows}
    return Answer(data, (table(("SETTING", "VALUE", "FROM"), rows, empty=""),))


@plain_verb(app, "check")
def check(common: Common) -> Answer:
    """Check the settings as a start would, and change nothing."""
    common.load()
    return Answer({"ok": True}, (harmless("The settings are sound."),))
