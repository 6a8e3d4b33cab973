"""The cluster's certificates and kubeconfigs, made once and kept."""

from __future__ import annotations

import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.beds.kubernetes.place import AUTHORITIES, KUBECONFIG, NODE, NODE_NAME, PKI, SERVER

DAYS: Final = 365
RENEWED: Final = 60  # days before they end
MADE: Final = PKI / "made"  # written when all are

WHO: Final = {
    "apiserver": ("kube-apiserver", ""),
    "registry": ("registry", ""),
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
}
"""File -> the user and group that a certificate says."""

NAMES: Final = ("localhost", NODE_NAME, "kubernetes", "kubernetes.default.svc")
_USES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
SIGNS: Final = x509.KeyUsage(**{use: use in ("key_cert_sign", "crl_sign") for use in _USES})
ADDRESSES: Final = ("127.0.0.1", "10.96.0.1", NODE)


def make() -> None:
    """Unless they are there and good for a while."""
    if good():
        return
    PKI.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, authority = _authority()
    for name, (user, group) in WHO.items():
        _certificate(name, user, group, key, authority)
    _write_key("service-account", ec.generate_private_key(ec.SECP256R1()))
    for name in WHO:
        (PKI / f"{name}.conf").write_text(json.dumps(_kubeconfig(name)))
    KUBECONFIG.write_bytes((PKI / "admin.conf").read_bytes())
    KUBECONFIG.chmod(0o600)
    AUTHORITIES.write_bytes(_of_this_machine() + (PKI / "ca.crt").read_bytes())
    MADE.touch()


def good() -> bool:
    """Whether there are some, for a while still."""
    until = timedelta(days=DAYS - RENEWED)
    return MADE.exists() and datetime.fromtimestamp(MADE.stat().st_mtime, UTC) > _now() - until


def _now() -> datetime:
    return datetime.now(UTC)


def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "testbed-ca")])
    made = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(SIGNS, critical=True)  # Python 3.13 takes no other
        .sign(key, hashes.SHA256())
    )
    (PKI / "ca.crt").write_bytes(made.public_bytes(Encoding.PEM))
    return key, made


def _certificate(
    name: str, user: str, group: str, signer: ec.EllipticCurvePrivateKey, by: x509.Certificate
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    words = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject = x509.Name([*words, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    others = [*map(x509.DNSName, NAMES), *(x509.IPAddress(ip_address(at)) for at in ADDRESSES)]
    ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    made = (
        _builder(subject, by.subject, key)
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .add_extension(ours, critical=False)
        .sign(signer, hashes.SHA256())
    )
    (PKI / f"{name}.crt").write_bytes(made.public_bytes(Encoding.PEM))
    _write_key(name, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - timedelta(hours=1))
        .not_valid_after(_now() + timedelta(days=DAYS))
    )


def _write_key(name: str, key: ec.EllipticCurvePrivateKey) -> None:
    path = PKI / f"{name}.key"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    path.chmod(0o600)


def _kubeconfig(name: str) -> dict[str, Any]:
    """Which is YAML, as JSON is."""

    def content(file: str) -> str:
        return base64.b64encode((PKI / file).read_bytes()).decode()

    cluster = {"server": SERVER, "certificate-authority-data": content("ca.crt")}
    user = {
        "client-certificate-data": content(f"{name}.crt"),
        "client-key-data": content(f"{name}.key"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NODE_NAME, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": NODE_NAME, "context": {"cluster": NODE_NAME, "user": name}}],
        "current-context": NODE_NAME,
    }


def _of_this_machine() -> bytes:
    found = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    path = Path(found)
    return path.read_bytes().rstrip(b"\n") + b"\n" if path.exists() else b""
