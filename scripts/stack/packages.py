"""Packages that few machines need: fetched by pip on demand into the cache, content pinned; not in the environment.

Guarantees: a folder is there whole or not at all, also when two fetch at once; its content is that of the hashes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.stack.locks import file_lock

Finish = Callable[[Path, Path], Path]


class PackageUnavailable(RuntimeError):
    """pip could not fetch it; the message is what pip said."""


def fetch_package(requirement: str, hashes: Sequence[str], folder: Path, finish: Finish | None = None) -> None:
    """Make `folder` of a package (`name==version`), unless it is there. Blocks.

    `finish` makes the folder that is kept of the unpacked package's folder, within another one given to it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_name(f"{folder.name}.lock"), wait=True):
        if folder.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-partial-") as temporary:
            unpacked = _installed(requirement, hashes, Path(temporary))
            made = unpacked if finish is None else finish(unpacked, Path(temporary))
            made.rename(folder)


def _installed(requirement: str, hashes: Sequence[str], temporary: Path) -> Path:
    wanted, target = temporary / "requirements.txt", temporary / "packages"
    wanted.write_text(f"{requirement} " + " ".join(f"--hash=sha256:{each}" for each in hashes) + "\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-compile", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *options, "-r", str(wanted)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PackageUnavailable(done.stderr.strip())
    return target
