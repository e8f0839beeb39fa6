#!/bin/sh
# Install what `make test` needs beyond Python packages, or say what is missing. A missing part is a failure,
# never a skipped test.
set -eu
PATH=$PATH:/usr/sbin:/sbin

# Prints the Debian packages that are missing.
missing() {
    echo '#include <stdio.h>' | cc -x c -fsyntax-only - >/dev/null 2>&1 || echo gcc libc6-dev
    command -v nginx >/dev/null 2>&1 || echo nginx-light
    command -v haproxy >/dev/null 2>&1 || echo haproxy
    command -v caddy >/dev/null 2>&1 || echo caddy
    command -v curl >/dev/null 2>&1 || echo curl
    command -v bash >/dev/null 2>&1 || echo bash
    command -v node >/dev/null 2>&1 || echo nodejs
    command -v npm >/dev/null 2>&1 || echo npm
    command -v chromium >/dev/null 2>&1 || echo chromium
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ ! -e /etc/debian_version ] || echo ca-certificates
    { command -v postgres || ls /usr/lib/postgresql/*/bin/postgres; } >/dev/null 2>&1 || echo postgresql
    command -v pgbouncer >/dev/null 2>&1 || echo pgbouncer
    command -v redis-server >/dev/null 2>&1 || command -v valkey-server >/dev/null 2>&1 || echo redis-server
    command -v uv >/dev/null 2>&1 || python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
}

needed=$(missing | tr '\n' ' ')
needed=${needed% }
[ -n "$needed" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing what the tests need: $needed"
    # The tests start servers of their own: Debian's must not be started by their installation.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $needed >/dev/null
    needed=$(missing | tr '\n' ' ')
    needed=${needed% }
    [ -n "$needed" ] || exit 0
fi

echo "make test needs parts that are missing here: $needed" >&2
echo "Install them (Debian's package names): sudo apt-get install --no-install-recommends $needed" >&2
exit 1
