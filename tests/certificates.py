"""A throw-away certificate authority for tests of TLS.

Owns    keys and certificates in a folder, made by openssl.
Never   outlives the test.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


class Authority:
    """Signs for one day; `ca` is the file that trusts it."""

    def __init__(self, folder: Path, name: str = "Gemel tests") -> None:
        if shutil.which("openssl") is None:
            text = "openssl is not on PATH; mend: apt-get install openssl"
            if os.environ.get("GEMEL_CI"):
                pytest.fail(text)
            pytest.skip(text)
        self.folder, self.ca, self._key = folder, folder / "ca.pem", folder / "ca.key"
        folder.mkdir(parents=True, exist_ok=True)
        _openssl("req", "-x509", *_new(self._key), "-subj", f"/CN={name}", "-out", self.ca)

    def issue(self, name: str) -> tuple[Path, Path]:
        """(certificate, key) of somebody at 127.0.0.1, PEM."""
        own, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        ask, more = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        more.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl("req", *_new(key), "-subj", f"/CN={name}", "-out", ask)
        signed = ("-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-extfile", more)
        _openssl("x509", "-req", "-in", ask, *signed, "-days", "1", "-out", own)
        return own, key


def _new(key: Path) -> tuple[str | Path, ...]:
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
