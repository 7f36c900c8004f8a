#!/usr/bin/env bash
# Makes .venv in the checkout hold exactly what requirements.lock says, and this project in editable form.
#
# May be called again at any time, from any directory, and by two at once: when nothing has changed it only compares a
# stamp. A .venv that was left half-made is made anew. Needs Python 3.11 or later; pip decides where packages come from.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
stamp="$venv/bootstrap.stamp"
unfinished="$venv/bootstrap.unfinished"
log="$venv/bootstrap.log"

say() { printf '%s\n' "$*" >&2; }

# What the environment was made of: lock, project file, Python, place. Empty when its Python does not run.
wanted_stamp() {
  local version
  version="$("$venv/bin/python" -I -S -c 'import sys; print(sys.version)' 2>/dev/null)" || return 0
  { printf '%s\n%s\n' "$root" "$version"; cat "$root/requirements.lock" "$root/pyproject.toml"; } | sha256sum
}

is_ready() {
  [[ ! -e "$unfinished" && -s "$stamp" ]] && [[ "$(cat "$stamp")" == "$(wanted_stamp)" ]]
}

find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      printf '%s\n' "$name"
      return 0
    fi
  done
  say "No Python 3.11 or later with venv was found: install one (Debian: python3 and python3-venv)."
  return 1
}

# Runs a step with its output in the log; shows the log's end when the step fails.
logged() {
  local what="$1"
  shift
  say "$what"
  if ! "$@" >>"$log" 2>&1; then
    tail -n 30 "$log" >&2
    say "That failed; all it said is in $log."
    return 1
  fi
}

make_environment() {
  local python
  if [[ -e "$unfinished" ]] || ! "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    python="$(find_python)"
    rm -rf "$venv"
    mkdir "$venv"
    : >"$unfinished"
    logged "Making .venv with $("$python" --version)" "$python" -m venv "$venv"
  fi
  : >"$unfinished"
  rm -f "$stamp"
  logged "Installing the packages of requirements.lock" \
    "$venv/bin/python" -m pip install --require-hashes --no-deps -r "$root/requirements.lock"
  logged "Installing this project" "$venv/bin/python" -m pip install --no-deps --no-build-isolation -e "$root"
  wanted_stamp >"$stamp"
  rm -f "$unfinished"
}

if ! is_ready; then
  # The checkout's folder itself is what is locked, so nothing is left behind; whoever comes second finds it all done.
  if command -v flock >/dev/null; then
    exec 9<"$root"
    flock 9
  fi
  is_ready || make_environment
  exec 9<&-
fi
