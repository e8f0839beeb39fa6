#!/bin/sh
# Say which tests `make check` left out: the slow ones, counted per file.
set -eu
cd "$(dirname "$0")/.."

status=0
left_out=$(.venv/bin/pytest -m "slow and not soak" --collect-only -qq) || status=$?
case $status in
0) printf '\nLeft out by make check (slow; make test runs them):\n%s\n' "$(printf '%s\n' "$left_out" | sed -n 's/^[^ ].*: [0-9]*$/  &/p')" ;;
5) printf '\nLeft out by make check: nothing.\n' ;;
*) printf '%s\n' "$left_out" >&2; exit "$status" ;;
esac
engines=$(printf '%s\n' "$left_out" | sed -n 's#^tests/storage/test_\([a-z]*\)_contract\.py: .*#\1#p')
printf 'Engines left out: %s.\n' "$(printf '%s' "${engines:-none}" | tr '\n' ' ')"
