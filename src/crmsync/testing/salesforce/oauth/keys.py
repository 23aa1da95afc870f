"""The keys that apps sign their assertions with."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def public_key(pem: str) -> RSAPublicKey:
    """Return the RSA key of a PEM certificate or of a PEM public key.

    :raises ValueError: it is neither.
    """
    text = pem.encode()
    is_certificate = "BEGIN CERTIFICATE" in pem
    key = x509.load_pem_x509_certificate(text).public_key() if is_certificate else load_pem_public_key(text)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("an app's public key must be RSA")  # noqa: TRY004 - the text is wrong, not its type
    return key
