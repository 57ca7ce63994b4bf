#!/usr/bin/env bash
# wheel.sh PYTHON BUILD_DIR WORK_DIR
#
# Builds a wheel from the objects of the build tree BUILD_DIR, installs it into a fresh virtual environment in WORK_DIR
# and runs the package's tests there. PYTHON needs numpy, pip, pytest, setuptools and wheel; nothing is downloaded.
set -euo pipefail
python=$1 build_dir=$2 work=$3
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH

rm -rf "$work"
mkdir -p "$work"
MIRNET_PYTHON_BUILD_DIR=$build_dir "$python" -m pip wheel "$project" --no-build-isolation --no-deps -w "$work" --quiet
wheels=("$work"/mirnet-*.whl)
if [ ${#wheels[@]} -ne 1 ] || [ ! -e "${wheels[0]}" ]; then
  echo "wheel.sh: found ${wheels[*]}; expected one wheel" >&2
  exit 1
fi

"$python" -m venv --system-site-packages --without-pip "$work/venv"
"$work/venv/bin/python" -m pip install --no-deps --quiet "${wheels[0]}"
cd "$work"
found=$("$work/venv/bin/python" -c 'import mirnet; print(mirnet.__file__)')
case $found in
  "$work/venv/"*) ;;
  *)
    echo "wheel.sh: mirnet is imported from $found; expected the virtual environment $work/venv" >&2
    exit 1
    ;;
esac
for file in LICENSE THIRD-PARTY-NOTICES _mirnet.pyi denoise.mirw py.typed; do
  if [ ! -e "$(dirname "$found")/$file" ]; then
    echo "wheel.sh: the wheel has no file $file" >&2
    exit 1
  fi
done
"$work/venv/bin/python" -m pytest -q -p no:cacheprovider "$project/tests"
