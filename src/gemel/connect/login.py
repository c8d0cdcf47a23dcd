"""Who we are to a server, and how we know that it is the right one.

Owns    where a password comes from (an environment variable, a file), and the files of TLS.
Never   shows a secret: neither in a `repr` nor in an error.
"""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemel.errors import Invalid

LOGIN = ("user", "password_env", "password_file", "ca", "certificate", "private_key", "tls")


@dataclass(frozen=True)
class Tls:
    """Files of a TLS connection, PEM; ca "" trusts the system's authorities."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Login:
    """user "" is nobody: the server may know us by our certificate. tls None is a bare wire."""

    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls | None = None


def read_login(options: Mapping[str, Any], folder: Path, where: str) -> Login:
    """From `user`, `password_env` | `password_file`, `ca`, `certificate`, `private_key`, `tls`.

    Files are found from the plant file's folder; one that is not there is an error now and not
    when the wire is first used.

    >>> read_login({"user": "gemel", "tls": True}, Path(), "source hall")
    Login(user='gemel', tls=Tls(ca='', certificate='', key=''))
    """
    told = {name: options[name] for name in LOGIN if name in options}
    tls = None
    ca, certificate, key = (_file(told, name, folder, where) for name in LOGIN[3:6])
    if told.get("tls") or ca or certificate or key:
        tls = Tls(ca, certificate, key)
    if bool(certificate) != bool(key):
        raise Invalid(
            "login.half_a_pair",
            "a client certificate and its key belong together",
            where=where,
            mend='write both: certificate = "gemel.pem" and private_key = "gemel.key"',
        )
    return Login(str(told.get("user", "")), _password(told, folder, where), tls)


def _password(told: dict[str, Any], folder: Path, where: str) -> str:
    if "password_env" in told:
        name = str(told["password_env"])
        if name not in os.environ:
            raise Invalid(
                "login.no_password",
                f"the environment variable '{name}' is not set",
                where=where,
                mend=f"export {name}=… before gemel run, or write password_file",
            )
        return os.environ[name]
    path = _file(told, "password_file", folder, where)
    return Path(path).read_text(encoding="utf-8").rstrip("\r\n") if path else ""


def _file(told: dict[str, Any], name: str, folder: Path, where: str) -> str:
    """The path of a file that is there and can be read, "" when none is named."""
    if not told.get(name):
        return ""
    path = folder / os.path.expandvars(str(told[name]))
    if not os.access(path, os.R_OK) or path.is_dir():
        raise Invalid(
            "login.no_file",
            f"{name}: there is no file '{path}' that can be read",
            where=where,
            mend="give its path from the plant file's folder, and see that Gemel may read it",
        )
    return str(path)


class _Socket(ssl.SSLSocket):
    """Closed when the two do not come to trust each other: paho forgets it."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What Python's ssl makes of the files; the server's name and certificate are checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _Socket
    try:
        if tls.ca:
            context.load_verify_locations(tls.ca)
        else:
            context.load_default_certs()
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key, password="")  # else it would ask
    except OSError as problem:
        raise no_certificate(tls, problem) from None
    return context


def no_certificate(tls: Tls, problem: object) -> Invalid:
    """The error of files that are there and no good."""
    return Invalid(
        "login.no_certificate",
        f"a file of ca, certificate or key is not what it should be: {problem}",
        where=", ".join(filter(None, (tls.ca, tls.certificate, tls.key))),
        mend="give PEM files; a key that fits its certificate, without a passphrase",
    )


def known_again(certificate: str) -> ssl.SSLContext:
    """Trust in one server alone, whose certificate was told on a way that is trusted: by whatever
    name it is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be an authority
    context.load_verify_locations(cadata=certificate)
    return context


def certificate_of(tls: Tls) -> str:
    """The server's own certificate, PEM, and nothing else of what its file holds."""
    text = Path(tls.certificate).read_text("utf-8", "replace")
    found = re.search(
        "-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----", text
    )
    if found is None:
        raise no_certificate(tls, "there is no BEGIN CERTIFICATE in it")
    return found[0] + "\n"
