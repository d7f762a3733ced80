"""Certificates for callers, good ones and others."""

import datetime
import ipaddress
from types import SimpleNamespace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


def named(**names):
    """`common="api"` among others, in their order."""
    kinds = {"country": NameOID.COUNTRY_NAME, "organization": NameOID.ORGANIZATION_NAME, "common": NameOID.COMMON_NAME,
             "email": NameOID.EMAIL_ADDRESS, "unit": NameOID.ORGANIZATIONAL_UNIT_NAME}  # fmt: skip
    return x509.Name([x509.NameAttribute(kinds[kind], value) for kind, value in names.items()])


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Authority:
    """Vouches for whom a test likes; another may vouch for it, and may not mean it to."""

    def __init__(self, folder, name="authority", above=None, ca=True):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, named(common=name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=ca, path_length=None)
        self.certificate = (above or self)._sign(self.name, self.key.public_key(), constraints)
        self.between = self.certificate.public_bytes(PEM) if above else b""
        self.file = folder / f"{name}.crt"
        self.file.write_bytes(self.certificate.public_bytes(PEM))

    def issue(self, stem, subject=None, dns=(), uris=(), emails=(), ips=(), usage=ExtendedKeyUsageOID.CLIENT_AUTH, alone=False, **when):
        """A certificate, its key and both in one file; `alone`, nobody vouches for it but itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            *map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris), *map(x509.RFC822Name, emails),
            *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips),
        ]  # fmt: skip
        extensions = [x509.BasicConstraints(ca=False, path_length=None), x509.ExtendedKeyUsage([usage])]
        if names:
            extensions.append(x509.SubjectAlternativeName(names))
        subject = named(common=stem) if subject is None else subject
        certificate = self._sign(subject, key.public_key(), *extensions, by=key if alone else None, **when)
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = self.folder / f"{stem}.pem"
        file.touch(0o600)
        file.write_bytes(certificate.public_bytes(PEM) + self.between + private)
        return SimpleNamespace(
            file=file, certificate=certificate, fingerprint=certificate.fingerprint(hashes.SHA256()).hex(), serial=certificate.serial_number
        )

    def revoke(self, stem, *issued, days=1):
        """A list of those that are good no more."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now() - datetime.timedelta(days=2)).next_update(now() + datetime.timedelta(days=days))
        for one in issued:
            revoked = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(now() - datetime.timedelta(days=1))
            builder = builder.add_revoked_certificate(revoked.build())
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        file = self.folder / f"{stem}.crl"
        file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(PEM))
        return file

    def _sign(self, subject, public, *extensions, by=None, start=None, end=None):
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject if by else self.name).public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start or now() - datetime.timedelta(hours=1))
            .not_valid_after(end or now() + datetime.timedelta(hours=1))
        )  # fmt: skip
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(by or self.key, hashes.SHA256())
