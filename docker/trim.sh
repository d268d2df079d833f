#!/bin/sh
# Take out of an environment what no running program needs: tests, headers, stubs, static libraries, pip.
set -eu
"$1/bin/python" -m pip uninstall --quiet --yes pip
cd "$1/lib/python3.11/site-packages"
find . -depth -type d \( -name tests -o -name test \) \
  -not -path './torch/*' -not -path './numpy/*' -not -path './sqlalchemy/*' -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.hpp' \) -delete
rm -rf torch/include torch/test torch/share/cmake pyarrow/include pyarrow/src
