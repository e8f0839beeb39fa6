#!/bin/sh
# Make .venv with everything that uv.lock names, from a Python that is already on this machine.
# PYTHON chooses the interpreter; otherwise the first fitting one on PATH is taken.
set -eu
cd "$(dirname "$0")/.."

UV_VERSION=0.13.8     # installed into .venv where no fitting uv is on PATH
UV_OLDEST=0.8         # the oldest that reads uv.lock
export UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv
unset VIRTUAL_ENV CONDA_PREFIX

fits() {
    "$1" -c 'import sqlite3, ssl, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "sessiond needs Python 3.11 or newer with its sqlite3 and ssl modules; none was found" \
        "(${PYTHON:-python3, python3.11 to python3.14})." >&2
    echo "Install it (Debian 12 or newer: apt-get install python3 python3-venv) or name it: make env PYTHON=/path/to/python3" >&2
    return 1
}

find_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    version=$(uv --version 2>/dev/null | cut -d ' ' -f 2) && [ -n "$version" ] || return 1
    [ "$(printf '%s\n%s\n' "$UV_OLDEST" "$version" | sort -V | head -n 1)" = "$UV_OLDEST" ] || return 1
    command -v uv
}

need_ensurepip() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing python3-venv." >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    fi
    echo "$1 cannot make virtual environments. Install that part (Debian: apt-get install python3-venv), or uv." >&2
    return 1
}

if [ -e .venv ] && ! fits .venv/bin/python; then
    if [ ! -e .venv/pyvenv.cfg ]; then
        echo ".venv is in the way and is no virtual environment; move it away." >&2
        exit 1
    fi
    echo "The Python of .venv is gone or too old: making .venv anew." >&2
    rm -rf .venv
fi

if uv=$(find_uv); then
    if [ ! -e .venv ]; then
        python=$(find_python)
        "$uv" venv --quiet --python "$python" .venv
    fi
else
    if [ ! -x .venv/bin/pip ]; then
        python=$(find_python)
        need_ensurepip "$python"
        "$python" -m venv .venv
    fi
    uv=.venv/bin/uv
    if [ "$("$uv" --version 2>/dev/null | cut -d ' ' -f 2)" != "$UV_VERSION" ]; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
    fi
fi

# --inexact: uv must not remove itself where it was installed into .venv.
"$uv" sync --quiet --frozen --inexact --all-extras --all-groups --python .venv/bin/python
