"""Certificates for tests: an authority, and what it signs, made with openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; `certificate` is what those who trust it are given."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
                 "-keyout", str(self._key), "-out", str(self.certificate))  # fmt: skip

    def sign(self, name: str, alternatives: str) -> Signed:
        """A certificate of that name; `alternatives` e.g. `IP:127.0.0.1,DNS:localhost`."""
        made = Signed(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
                 "-CA", str(self.certificate), "-CAkey", str(self._key),
                 "-addext", f"subjectAltName={alternatives}", "-addext", "basicConstraints=CA:FALSE",
                 "-keyout", str(made.key), "-out", str(made.certificate))  # fmt: skip
        return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
