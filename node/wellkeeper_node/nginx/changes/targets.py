"""The certificates that nginx gets, with their files."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paths:
    """The two paths for nginx; `certificate_key` is None if the key is kept elsewhere."""

    chain: str
    certificate_key: str | None

    def lines(self) -> list[str]:
        """Return the lines for a server block; without a path of the key, only that of the certificate."""
        key = [] if self.certificate_key is None else [f"ssl_certificate_key {self.certificate_key};"]
        return [f"ssl_certificate {self.chain};", *key]

    def __str__(self) -> str:
        ending = " ssl_certificate_key THE KEY OF YOUR CSR;" if self.certificate_key is None else ""
        return f"{' '.join(self.lines())}{ending}"


@dataclass(frozen=True, slots=True)
class Target:
    """A certificate and its files; until it is obtained, they are missing or a self-signed placeholder."""

    names: tuple[str, ...]
    paths: Paths
    is_obtained: bool = True
