#!/usr/bin/env bash
# Installs Debian's Chromium for the browser tests where it is missing and apt can do it. Never fails: without a browser
# those tests skip, and say why.
set -uo pipefail

say() { printf '%s\n' "$*" >&2; }

command -v chromium >/dev/null && exit 0
if ! command -v apt-get >/dev/null; then
  say "No Chromium, and no apt to install it with: the browser tests will skip."
elif [[ "$(id -u)" != 0 ]]; then
  say "No Chromium, and not root: the browser tests will skip (as root: apt-get install chromium)."
else
  log="$(mktemp)"
  say "Installing Debian's Chromium for the browser tests"
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    say "That failed ($log): the browser tests will skip."
  fi
fi
exit 0
