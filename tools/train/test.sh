#!/usr/bin/env bash
# Installs what training needs and runs its tests: seconds, tiny shapes, no checkpoint is touched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if ! ./install.sh; then
  echo "The tests of tools/train did not run: Debian's packages for it are missing and could not be installed here."
  exit 1
fi
/usr/bin/python3 run_tests.py
