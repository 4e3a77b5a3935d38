"""What the settings say about one CA, and the key of an account that people have there already."""

import binascii
import logging
import stat
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.errors import Retry

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """An account outside ACME that ours is bound to (RFC 8555 section 7.3.4): what the CA gave to the administrator."""

    key_id: str
    hmac_key_file: Path
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"

    def read_hmac_key(self) -> bytes:
        """Raises SettingsError naming the file; warns when others can read it."""
        path = self.hmac_key_file
        try:
            text = path.read_text(encoding="ascii").strip()
            if stat.S_IMODE(path.stat().st_mode) & (stat.S_IROTH | stat.S_IWOTH):
                _log.warning("eab_hmac_key_file %s can be read by everybody on this host; chmod 0600 it", path)
            key = b64decode(_standard(text), validate=True)
        except FileNotFoundError:
            raise SettingsError(
                f"eab_hmac_key_file = '{path}' does not exist; write the HMAC key there that the CA gave to you, as it"
                " stands (base64url), and chmod 0600 it"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"cannot read eab_hmac_key_file '{path}'",
                error.strerror or str(error),
                remedies.of_reading(error),
                retry=Retry.SOON,
            ) from error
        except (UnicodeDecodeError, binascii.Error) as error:
            raise SettingsError(
                f"eab_hmac_key_file = '{path}' holds no base64url ({error}); copy the HMAC key once more, whole"
            ) from error
        if not key:
            raise SettingsError(
                f"eab_hmac_key_file = '{path}' is empty; the HMAC key that the CA gave to you goes there"
            )
        return key


@dataclass(frozen=True, slots=True)
class CaOptions:
    """`name` is what people call it, `bundle` the file of roots that its server is verified with, None for the usual.

    `profile` is what is asked for when a certificate names none, `preferred_chain` the common name of a root.
    """

    name: str
    directory_url: str
    bundle: str | None = None
    profile: str | None = None
    preferred_chain: str | None = None
    external_account: ExternalAccount | None = field(default=None, repr=False)


def _standard(text: str) -> str:
    """Padded, in the alphabet of RFC 4648 section 4: some CAs give one kind, some the other."""
    return text.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
