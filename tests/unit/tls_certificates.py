"""Certificates for tests, made by the command `openssl` when they are needed."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.213.7.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate that signs itself, and its key."""

    cert: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        """For `sharedkit serve`."""
        return "--tls-cert", str(self.cert), "--tls-key", str(self.key)

    def client(self) -> ssl.SSLContext:
        """A context for clients that accept this certificate alone."""
        return ssl.create_default_context(cafile=str(self.cert))

    def server(self) -> ssl.SSLContext:
        """A context for a server with this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        return context


def made_in(folder: Path, name: str = "server", names: str = NAMES) -> Certificate:
    """A new certificate in that folder."""
    if shutil.which("openssl") is None:
        pytest.skip("the command openssl makes the certificates of this test, and is not installed")
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-addext", names, "-keyout", str(made.key), "-out", str(made.cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made
