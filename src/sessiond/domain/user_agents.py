"""User agents: which software a `User-Agent` (RFC 9110 section 10.1.5) names, in the few words that people know.

It is for people to recognise their own sessions by, and proves nothing: whoever sends it can write what they like. So
nothing is decided by it, and what is not recognised is left out instead of being guessed. One pass over the text and no
pattern that could be made to backtrack.
"""

from __future__ import annotations

import enum
import functools

import msgspec


class DeviceClass(enum.StrEnum):
    """What the software runs on, or is."""

    DESKTOP = "desktop"
    PHONE = "phone"
    TABLET = "tablet"
    BOT = "bot"
    PROGRAM = "program"


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """The *app* (a browser, or what calls itself something), its *os* and its *device*; None where unknown."""

    app: str | None = None
    os: str | None = None
    device: DeviceClass | None = None


# What each name in a comment means; the first that is there counts, because others claim to be like them.
_SYSTEMS = (
    ("Windows", "Windows"),
    ("iPad", "iPadOS"),
    ("iPhone", "iOS"),
    ("iPod", "iOS"),
    ("CrOS", "ChromeOS"),
    ("Android", "Android"),
    ("Macintosh", "macOS"),
    ("macOS", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
)
_KNOWN_AS = {
    "CriOS": "Chrome",
    "HeadlessChrome": "Chrome",
    "FxiOS": "Firefox",
    "Edg": "Edge",
    "EdgA": "Edge",
    "EdgiOS": "Edge",
    "OPR": "Opera",
    "OPT": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "YaBrowser": "Yandex Browser",
    "Ddg": "DuckDuckGo",
}
# Products that nearly every browser lists, whoever made it.
_EVERYBODYS = frozenset(
    {"Mozilla", "AppleWebKit", "Gecko", "Version", "Mobile", "Safari", "Chrome", "Electron"}
)
_MOBILE = frozenset({"iOS", "iPadOS", "Android"})
_BOTS = ("bot", "crawler", "spider")
_LONGEST_NAME = 40


@functools.lru_cache(maxsize=1024)
def software(user_agent: str) -> Software:
    """Return what *user_agent* says of the software that sent it."""
    products, comments = _parts(user_agent)
    app = _app(products)
    os = next((name for mark, name in _SYSTEMS if mark in comments), None)
    return Software(app=app, os=os, device=_device(user_agent, products, comments, os))


def _parts(user_agent: str) -> tuple[list[str], str]:
    """Return the names of the products with a version, and what stands in parentheses."""
    inside: list[str] = []
    outside: list[str] = []
    depth = 0
    for character in user_agent:
        if character == "(":
            depth += 1
            outside.append(" ")
        elif character == ")":
            depth = max(0, depth - 1)
        else:
            (inside if depth else outside).append(character)
    products = [word.partition("/") for word in "".join(outside).split()]
    return [name for name, _, version in products if name and version[:1].isdigit()], "".join(inside)


def _app(products: list[str]) -> str | None:
    own = [name for name in products if name not in _EVERYBODYS]
    if own:
        return _KNOWN_AS.get(own[0], own[0])[:_LONGEST_NAME]
    return next((name for name in ("Chrome", "Safari") if name in products), None)


def _device(user_agent: str, products: list[str], comments: str, os: str | None) -> DeviceClass | None:
    if any(mark in user_agent.casefold() for mark in _BOTS):
        return DeviceClass.BOT
    if os == "iPadOS" or "Tablet" in comments:
        return DeviceClass.TABLET
    if os == "Android" and products[:1] == ["Mozilla"] and "Mobile" not in user_agent:
        return DeviceClass.TABLET  # browsers for Android say Mobile on phones only
    if os in _MOBILE or "Windows Phone" in comments:
        return DeviceClass.PHONE
    if os is not None:
        return DeviceClass.DESKTOP
    return DeviceClass.PROGRAM if products else None
