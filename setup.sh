#!/bin/sh
# Makes .venv with everything in it; `setup.sh browser` finds a Chromium or installs one.
set -eu

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

apt_install() {
    command -v apt-get >/dev/null && as_root apt-get update -qq && as_root apt-get install -y -qq "$@" >/dev/null
}

if [ "${1:-}" = browser ]; then
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null && exit 0
    done
    [ -n "${FACEVALUE_CHROMIUM:-}" ] && exit 0
    echo "No Chromium found; installing one."
    apt_install chromium && exit 0
    .venv/bin/python -m playwright install --with-deps chromium && exit 0
    echo "No Chromium was found and none could be installed: install the package chromium, or set FACEVALUE_CHROMIUM." >&2
    exit 2
fi

python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed and $python is $("$python" -V 2>&1): install it, or name it with PYTHON=." >&2
    exit 2
}
"$python" -m venv .venv 2>/dev/null || {
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "This Python has no venv; installing python$version-venv."
    apt_install "python$version-venv" || apt_install python3-venv || {
        echo "The package python3-venv is missing: install it, then run make again." >&2
        exit 2
    }
    "$python" -m venv .venv
}
echo "Installing into .venv (about 6 GB; a few minutes the first time)."
.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -r requirements-dev.txt
.venv/bin/python -c 'import cv2' 2>/dev/null || {
    echo "OpenCV needs two system libraries; installing them."
    apt_install libgl1 libglib2.0-0 || apt_install libgl1 libglib2.0-0t64 || true
    .venv/bin/python -c 'import cv2' || {
        echo "OpenCV does not load: install the packages libgl1 and libglib2.0-0, then run make again." >&2
        exit 2
    }
}
