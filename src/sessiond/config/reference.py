"""The reference of all settings, `docs/configuration.md`, written from their declarations.

`python -m sessiond.config.reference` prints it; a test compares it with the file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from sessiond.config.coercion import kind_text, range_text, value_text
from sessiond.config.settings import RELOADED, SECRETS, Setting, declared

_HEAD = """\
# Configuration

Every setting has one name. Write it in one TOML file (`--config FILE` or `SESSIOND_CONFIG`), as an environment
variable, or on the command line (`--port 8001`, or `--set NAME=VALUE` for any of them). The command line goes before
the environment, the environment before the file, the file before the default. An empty variable counts as not set.

```toml
port = 8001
public_url = "https://sessions.example.org"
trusted_proxies = ["10.0.0.0/8"]

[policy]
preset = "aal2"
grace = "10s"
```

Durations have a unit: `250ms`, `60s`, `10min`, `24h`, `30d`. In a variable a list is separated by commas. `none` takes
a value away. Relative paths are relative to the working directory. An unknown name, a wrong type, a value out of range
and an unsafe value are refused at start, with the reason. `sessiond config show` prints every value that counts and
where it came from; `sessiond config check` only checks. (On Kubernetes a service named `sessiond` puts variables of
that prefix into every pod beside it: set `enableServiceLinks: false`.)

Settings marked **R** are read anew from the file on SIGHUP; the others need a restart.
"""

_SECRETS_HEAD = """\
## Secrets

Never in the file, on the command line, in `config show` or in a log. Each is given by its variable, or better in a
file that only its owner can read (mode 0600), named by the second variable or by the setting of that name. A variable
is removed from the process's environment once it is read, but the kernel still shows the owner and root what a process
was started with (`/proc/PID/environ`); a file leaves no such trace. A secret is 32 to 512 visible characters; short,
repeated and example values are refused.

| variable | variable or setting for a file | meaning |
|---|---|---|
"""

_TITLES = {
    "": "General",
    "policy": "`[policy]`: how long sessions live",
    "cache": "`[cache]`: what is kept in memory",
    "pocketpaw": "`[pocketpaw]`: operator sessions",
    "device": "`[device]`: device sessions",
    "pin": "`[pin]`: sign-in with name and PIN",
    "vault": "`[vault]`: the session storage",
    "stack_auth": "`[stack_auth]`: Stack Auth's API",
    "impersonation": "`[impersonation]`: acting as a subject",
    "limits": "`[limits]`: how often something may be asked for ([rate limits](api/rate-limits.md))",
    "purge": "`[purge]`: how long what has ended is kept",
}


def reference() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD]
    section = None
    for setting in declared():
        if setting.section != section:
            section = setting.section
            parts.append(
                f"\n## {_TITLES[section]}\n\n| setting | variable | value | default | |\n|---|---|---|---|---|\n"
            )
        parts.append(_row(setting))
    return "".join([*parts, "\n", _SECRETS_HEAD, *_secret_rows()])


def _row(setting: Setting) -> str:
    value = kind_text(setting)
    bounds = range_text(setting)
    if bounds:
        value = f"{value}, {bounds}"
    default = value_text(setting.default) or "(empty)"
    about = _mark(setting) + setting.about.text
    return f"| `{setting.name}` | `{setting.variable}` | {value} | `{default}` | {about} |\n"


def _mark(setting: Setting) -> str:
    return "**R** " if setting.name in RELOADED or setting.section in RELOADED else ""


def _secret_rows() -> Iterator[str]:
    for secret in SECRETS:
        yield f"| `{secret.variable}` | `{secret.file_variable}`, `{secret.file_setting}` | {secret.about} |\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
