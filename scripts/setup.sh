#!/bin/sh
# setup.sh packages: make .venv with hashsearch in it.
# setup.sh java: find the Java that the local Elasticsearch needs, or install one.
# Called by make. Installs with apt-get only as root or where sudo asks for no password.
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

apt_install() {
    command -v apt-get >/dev/null || return 1
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        sudo="sudo -n"
    fi
    printf 'setup: installing %s with apt-get\n' "$*"
    $sudo apt-get update -qq || true # one broken source must not stop what the others have
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
}

fits() { # fits PYTHON [MODULE ...]: it runs, is of a version that hashsearch supports, and has the modules
    interpreter=$1
    shift
    "$interpreter" -c '
import importlib.util, sys
sys.exit(not ((3, 10) <= sys.version_info < (3, 14) and all(map(importlib.util.find_spec, sys.argv[1:]))))
' "$@" 2>/dev/null
}

find_python() { # find_python [MODULE ...]: print the first that fits
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if fits "$candidate" "$@"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

packages() {
    if ! python=$(find_python venv ensurepip); then
        bare=$(find_python) || fail "hashsearch needs Python 3.10 to 3.13, and python3 is $(python3 --version 2>&1): install one, such as python3.12, beside it"
        package=$("$bare" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        apt_install "$package" || fail "$bare cannot make virtual environments: install its package $package (apt-get install $package)"
        python=$bare
    fi
    fits .venv/bin/python pip || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --disable-pip-version-check --editable '.[dev]'
    hub=$(.venv/bin/python scripts/hub.py)
    # shellcheck disable=SC2086 # a word for each requirement
    .venv/bin/python -m pip install --disable-pip-version-check --no-deps $hub
}

find_java() {
    .venv/bin/python - <<'END'
import sys
from hashsearch.errors import NodeError
from hashsearch.node.jdk import newest_jdk
from hashsearch.node.account import process_identity
try:
    print("setup: Elasticsearch will run on", newest_jdk(process_identity()))
except NodeError as error:
    sys.exit(f"setup: {error}")
END
}

java() {
    if ! find_java 2>/dev/null; then
        # Newer releases of Debian have no 17 any more; their default is newer than that.
        apt_install openjdk-17-jre-headless || apt_install default-jre-headless || true
        find_java
    fi
}

case ${1-} in
packages | java) "$1" ;;
*) fail "usage: setup.sh packages | java" ;;
esac
