"""Certificates and keys for servers that speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["SECRET", "make_certificates"]

SECRET = "hush-hush"


def openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=60)


def make_certificates(folder: Path) -> Path:
    """Make, in that folder, an authority, another one, and the keys and certificates of a server and of a client."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    for who in ("ca", "other"):
        openssl(
            folder,
            "req",
            "-x509",
            *curve,
            "-nodes",
            "-keyout",
            f"{who}.key",
            "-out",
            f"{who}.crt",
            "-subj",
            f"/CN={who}",
        )
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for who, secret in (("server", ["-nodes"]), ("client", ["-passout", f"pass:{SECRET}"])):
        openssl(folder, "req", *curve, *secret, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        openssl(
            folder, "x509", "-req", "-in", f"{who}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", "names", "-out", f"{who}.crt",
        )  # fmt: skip
    return folder
