# Runs bootstrap.py with the first Python that can run it. .venv is tried first, because that check is the fastest.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
for python in .venv/bin/python python3 python3.13 python3.12 python3.11 python; do
  if "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then
    exec "$python" -I -S local/repo/bootstrap.py "$@"
  fi
done
echo "Python was not found. Install Python 3.13 (python.org or your system's packages) and run this again." >&2
exit 1
