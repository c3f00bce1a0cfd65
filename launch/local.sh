#!/usr/bin/env bash
# The whole experiment on a fresh machine: installs into .venv, runs the study, and prints its headline and the report's path.
# Run it again to continue a study that was interrupted.
#
#     launch/local.sh                                   the quick study
#     launch/local.sh --config FILE --set a.b=value     any arguments of `traitrl study`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

launch/setup.sh
exec .venv/bin/traitrl study --config configs/quick.py "$@" # a --config given here wins
