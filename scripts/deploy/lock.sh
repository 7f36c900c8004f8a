#!/usr/bin/env bash
# Writes requirements.lock (everything) and scripts/deploy/runtime.lock (what the image needs: no test tools), with the
# same versions in both. Needs uv. Run after changing pyproject.toml: scripts/deploy/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
options=(--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet)
uv pip compile "${options[@]}" "$@" --extra dev pyproject.toml -o requirements.lock
versions="$(mktemp)"
trap 'rm -f "$versions"' EXIT
sed -n 's/^\([a-zA-Z0-9._-]*==.*\) \\$/\1/p' requirements.lock >"$versions"
# setuptools builds the project in the image.
uv pip compile "${options[@]}" -c "$versions" pyproject.toml - -o scripts/deploy/runtime.lock <<<'setuptools>=77'
