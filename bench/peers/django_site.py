"""Django's database sessions on SQLite (WAL, synchronous=FULL), served by granian. Stubbed: there is no password."""

import os
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="bench-secret-0123456789abcdefghijklmnop",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.db",
    SESSION_COOKIE_AGE=30 * 24 * 60 * 60,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(os.environ["BENCH_FOLDER"]) / "django.db",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
            },
        }
    },
    USE_TZ=True,
)
django.setup()


def login(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    request.session["subject"] = request.GET["subject"]
    return JsonResponse({"subject": request.GET["subject"]}, status=201)


def show(request: HttpRequest) -> HttpResponse:
    subject = request.session.get("subject")
    return JsonResponse({"subject": subject}) if subject else HttpResponse(status=401)


def refresh(request: HttpRequest) -> HttpResponse:
    if not request.session.get("subject"):
        return HttpResponse(status=401)
    request.session.cycle_key()
    return JsonResponse({"subject": request.session["subject"]})


def logout(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse(status=204)


urlpatterns = [path("login", login), path("session", show), path("refresh", refresh), path("logout", logout)]
application = get_wsgi_application()

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
