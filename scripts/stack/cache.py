"""Where downloads are kept: outside the repository, shared by all checkouts, safe to delete at any time."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """`QUARTERHOUR_CACHE`, else `$XDG_CACHE_HOME/quarterhour`, else `~/.cache/quarterhour` (not created here)."""
    if chosen := environ.get("QUARTERHOUR_CACHE"):
        return Path(chosen).expanduser().absolute()
    shared = environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "quarterhour"
