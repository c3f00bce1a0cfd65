#!/usr/bin/env bash
# Style and tests on a fresh machine.
#
#     launch/test.sh            the fast tests
#     launch/test.sh --all      also those that run whole studies
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

which=(-m "not slow")
if [[ ${1:-} == --all ]]; then
    which=()
    shift
fi

launch/setup.sh dev
.venv/bin/ruff check
.venv/bin/ruff format --check
.venv/bin/python -m pytest -q "${which[@]}" "$@"
