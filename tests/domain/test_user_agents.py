"""What people are told about the software behind a session."""

import pytest

from sessiond.domain.user_agents import DeviceClass, Software, software

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROMEOS = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPAD = "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


LINES = [
    ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox", "Linux", "desktop"),
    (f"{WINDOWS} Chrome/130.0.0.0 Safari/537.36", "Chrome", "Windows", "desktop"),
    (f"{WINDOWS} Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0", "Edge", "Windows", "desktop"),
    (f"{MAC} Version/18.1 Safari/605.1.15", "Safari", "macOS", "desktop"),
    (f"{IPHONE} Version/18.1 Mobile/15E148 Safari/604.1", "Safari", "iOS", "phone"),
    (f"{IPHONE} CriOS/130.0 Mobile/15E148 Safari/604.1", "Chrome", "iOS", "phone"),
    (f"{IPAD} Version/18.1 Mobile/15E148 Safari/604.1", "Safari", "iPadOS", "tablet"),
    (f"{ANDROID} Chrome/130.0.0.0 Mobile Safari/537.36", "Chrome", "Android", "phone"),
    (f"{ANDROID} Chrome/130.0.0.0 Safari/537.36", "Chrome", "Android", "tablet"),
    ("Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0", "Firefox", "Android", "phone"),
    ("Mozilla/5.0 (Android 14; Tablet; rv:132.0) Gecko/132.0 Firefox/132.0", "Firefox", "Android", "tablet"),
    (f"{CHROMEOS} Chrome/130.0.0.0 Safari/537.36", "Chrome", "ChromeOS", "desktop"),
    (f"{LINUX} Slack/4.41 Chrome/128.0 Electron/32.1 Safari/537.36", "Slack", "Linux", "desktop"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", None, None, "bot"),
    ("MyShop/2.1 (iPhone; iOS 18.1)", "MyShop", "iOS", "phone"),
    ("MyShop/2.1 (Android 14)", "MyShop", "Android", "phone"),
    ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1)", None, "Windows", "phone"),
    ("Mozilla/5.0 (Windows NT 10.0; Tablet PC 2.0)", None, "Windows", "tablet"),
    ("Mozilla/5.0(X11; Linux)Iceweasel/9.0", "Iceweasel", "Linux", "desktop"),
    ("agent/1 (one (two) Linux)", "agent", "Linux", "desktop"),
    ("okhttp/4.12.0", "okhttp", None, "program"),
    ("curl/8.5.0", "curl", None, "program"),
    ("Mozilla/5.0", None, None, "program"),
    ("something", None, None, None),
    ("", None, None, None),
    ("((((((", None, None, None),
    (")/1 ( /2 x/", None, None, None),
]


@pytest.mark.parametrize(("user_agent", "app", "os", "device"), LINES)
def test_software_is_named_as_people_know_it(
    user_agent: str, app: str | None, os: str | None, device: str | None
) -> None:
    expected = Software(app=app, os=os, device=None if device is None else DeviceClass(device))
    assert software(user_agent) == expected


def test_a_name_is_short_whatever_is_sent() -> None:
    assert len(software("x" * 500 + "/1").app or "") == 40
