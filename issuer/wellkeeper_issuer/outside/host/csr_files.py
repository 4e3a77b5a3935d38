"""Read the administrator's CSRs from disk."""

from typing import Final

import aiofiles

from wellkeeper_issuer.errors import SettingsError

# A CSR with a hundred names has about ten thousand bytes.
_LONGEST_BYTES: Final = 65_536


class CsrFolder:
    """Implements `ports.CsrFiles` with the local file system; a renewal reads the file when it begins."""

    async def read_csr(self, path: str) -> bytes:
        """Implement `ports.CsrFiles.read_csr`."""
        try:
            async with aiofiles.open(path, "rb") as file:
                content = await file.read(_LONGEST_BYTES + 1)
        except OSError as error:
            raise SettingsError(
                f"cannot read csr = {path!r}",
                error.strerror or str(error),
                "Put the CSR there, readable by the issuer's user.",
            ) from error
        if len(content) > _LONGEST_BYTES:
            raise SettingsError(
                f"csr = {path!r} is too long",
                f"it has more than {_LONGEST_BYTES} bytes",
                "Name a file with only the CSR.",
            )
        return content
