"""Settings of one CA, and the external account key that binds our account there."""

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.key_files import check_access
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.errors import Retry


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """An account outside ACME that the CA binds ours to (RFC 8555 section 7.3.4)."""

    key_id: str
    hmac_key_file: Path
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"

    def read_hmac_key(self) -> bytes:
        """Return the HMAC key; warns when others can read the file. Raises SettingsError naming the file."""
        path = self.hmac_key_file
        check_access(path)
        try:
            text = path.read_text(encoding="ascii").strip()
            key = b64decode(_standard(text), validate=True)
        except FileNotFoundError:
            raise SettingsError(
                f"cannot read eab_hmac_key_file = '{path}'",
                "the file does not exist",
                "Write the HMAC key from the CA (base64url) to it, with mode 0600.",
            ) from None
        except OSError as error:
            raise SettingsError(
                f"cannot read eab_hmac_key_file = '{path}'",
                error.strerror or str(error),
                remedies.of_reading(error),
                retry=Retry.SOON,
            ) from error
        except (UnicodeDecodeError, binascii.Error) as error:
            raise SettingsError(
                f"eab_hmac_key_file = '{path}' is not valid base64url",
                str(error),
                "Copy the complete HMAC key from the CA again.",
            ) from error
        if not key:
            raise SettingsError(
                f"eab_hmac_key_file = '{path}' is empty", remedy="Write the HMAC key from the CA to it."
            )
        return key


@dataclass(frozen=True, slots=True)
class CaOptions:
    """Settings of one CA.

    `bundle` is the file with the roots that verify its server; None for the system's roots. With `allow_http`, its URLs
    may be plain http. `profile` applies to certificates that set none; `preferred_chain` is the common name of a root.
    """

    name: str
    directory_url: str
    bundle: str | None = None
    allow_http: bool = False
    profile: str | None = None
    preferred_chain: str | None = None
    external_account: ExternalAccount | None = field(default=None, repr=False)


def _standard(text: str) -> str:
    """Return base64url as padded base64 (RFC 4648 section 4): CAs use both alphabets."""
    return text.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
