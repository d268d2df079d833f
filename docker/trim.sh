#!/bin/sh
# Take out of an environment what no program of ours needs: pip, tests, headers, stubs, static libraries, services of
# AWS other than S3's, parts of Arrow for servers, pages of MLflow where no server is, the names in torch's libraries that
# only a debugger reads, and the bytecode of modules other than those given, which is made anew.
# Usage: trim.sh ENVIRONMENT MODULES, such as /opt/venv "pandas pyarrow.parquet"
set -eu
"$1/bin/python" -m pip uninstall --quiet --yes pip
cd "$1"/lib/python3*/site-packages
find . -depth -type d \( -name tests -o -name test \) -not -path './torch/*' -not -path './sqlalchemy/*' -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.hpp' \) -delete
rm -rf torch/include torch/test torch/share/cmake pyarrow/include pyarrow/src
rm -f pyarrow/libarrow_flight* pyarrow/libarrow_python_flight* pyarrow/_flight*
if [ -d torch ]; then
  find torch/bin -mindepth 1 -not -name torch_shm_manager -delete
  strip --strip-unneeded torch/lib/libtorch_cpu.so torch/lib/libtorch_python.so
fi
if [ -d botocore/data ]; then
  find botocore/data -mindepth 1 -maxdepth 1 -type d \
    -not -name 's3*' -not -name 'sso*' -not -name sts -not -name signin -exec rm -rf {} +
fi
case " $2 " in *" mlflow.server "*) ;; *) rm -rf mlflow/server/js ;; esac
find . -depth -type d -name __pycache__ -exec rm -rf {} +
for module in $2; do "$1/bin/python" -c "import $module"; done
