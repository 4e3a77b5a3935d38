"""CSRs that the administrator made, read from disk."""

from typing import Final

import aiofiles

from wellkeeper_issuer.errors import SettingsError

# A hundred names need some ten thousand bytes.
_LONGEST_BYTES: Final = 65_536


class CsrFolder:
    """`ports.CsrFiles` on the local file system; the file that is there when a renewal begins counts."""

    async def read_csr(self, path: str) -> bytes:
        """As `ports.CsrFiles.read_csr`."""
        try:
            async with aiofiles.open(path, "rb") as file:
                content = await file.read(_LONGEST_BYTES + 1)
        except OSError as error:
            raise SettingsError(
                f"csr = {path!r} cannot be read: {error.strerror}; put the CSR there, readable by the issuer's user"
            ) from error
        if len(content) > _LONGEST_BYTES:
            raise SettingsError(f"csr = {path!r} is longer than any CSR; name the file that holds the CSR alone")
        return content
