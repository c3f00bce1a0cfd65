#!/usr/bin/env bash
# Makes .venv and installs this repository in it; done once for every setup.py.
#
#     launch/setup.sh [dev]        dev: with what the tests need
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extra=${1:-}

fail() {
    echo "launch: $*" >&2
    exit 1
}

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in python3.12 python3.11 python3 python; do
        if fits "$name"; then
            echo "$name"
            return
        fi
    done
}

make_venv() {
    local python
    python=$(find_python)
    rm -rf .venv
    if command -v uv >/dev/null; then
        uv venv --quiet --python "${python:-3.12}" .venv || fail "uv could not make .venv; its message is above"
        return
    fi
    [[ -n $python ]] || fail "no Python 3.11 or 3.12 found; install python3.12, or uv (https://docs.astral.sh/uv), and run this again"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no ensurepip; install it (Debian, Ubuntu: apt install $("$python" -c 'import sys; print("python3.%d" % sys.version_info[1])')-venv) and run this again"
    "$python" -m venv .venv || {
        rm -rf .venv
        fail "$python could not make .venv; its message is above"
    }
}

install() {
    if command -v uv >/dev/null; then
        uv pip install --quiet --python .venv/bin/python --editable ".${extra:+[$extra]}"
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}"
    fi
}

stamp=.venv/installed-$(cksum <setup.py | tr ' ' -)
if fits .venv/bin/python && [[ -e $stamp${extra:+-$extra} ]]; then
    exit 0
fi
fits .venv/bin/python || make_venv
echo "launch: installing into .venv (about 2 GB, some minutes)" >&2
install || fail "the installation failed; the reason is above. Run this again when it is mended"
touch "$stamp" "$stamp${extra:+-$extra}"
