#!/bin/sh
# lowest.sh PYTHON [PYTEST ARGUMENT ...]: the unit tests on the lowest versions that setup.cfg declares.
# The virtual environment is made anew, in build/lowest-VERSION or the folder that LOWEST_VENV names.
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || {
    printf 'lowest: usage: lowest.sh PYTHON [PYTEST ARGUMENT ...]\n' >&2
    exit 2
}
python=$1
shift
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv=${LOWEST_VENV:-build/lowest-$version}

"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --disable-pip-version-check --quiet uv
"$venv/bin/uv" pip install --python "$venv/bin/python" --resolution lowest-direct --editable '.[dev]'
hub=$("$venv/bin/python" scripts/hub.py)
# shellcheck disable=SC2086 # a word for each requirement
"$venv/bin/uv" pip install --python "$venv/bin/python" --resolution lowest-direct --no-deps $hub
# Old releases warn of newer Pythons and of each other: warnings are no errors here.
exec "$venv/bin/python" -m pytest -o filterwarnings=default -m "unit and not slow" -n 2 --dist loadfile --no-loadscope-reorder "$@"
