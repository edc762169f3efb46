#!/usr/bin/env bash
# Makes .venv with both packages and the development tools, every dependency checked against its hash.
# --no-deps: the lock is complete, and pip resolving it anew trips over releases that came after it.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}

say() { printf '%s\n' "$*"; }

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "error: $python is missing or older than 3.11. Install Python 3.11 or later, or name one: make venv PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    else
        say "error: $python cannot make virtual environments. Install its venv module (Debian: apt-get install python3-venv)" >&2
        exit 1
    fi
fi

say "  installing Python packages into .venv (the first time takes minutes where the machine or the network is slow)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --editable ./operator --editable ./server
touch .venv/.installed
