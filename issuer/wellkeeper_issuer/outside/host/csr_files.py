"""Read the administrator's CSRs from disk."""

import asyncio
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import rights

# A CSR with a hundred names has about ten thousand bytes.
_LONGEST_BYTES: Final = 65_536
_REMEDY: Final = "Name a file with only the CSR."


class CsrFolder:
    """Implements `ports.CsrFiles` with the local file system; a renewal reads the file when it begins."""

    async def read_csr(self, path: str) -> bytes:
        """Implement `ports.CsrFiles.read_csr`."""
        try:
            content = await asyncio.to_thread(rights.read_file, Path(path), follows_link=True)
        except OSError as error:
            raise SettingsError(
                f"cannot read csr = {path!r}",
                error.strerror or str(error),
                "Put the CSR there, readable by the issuer's user.",
            ) from error
        except ValueError as error:
            raise SettingsError(f"cannot use csr = {path!r}", str(error), _REMEDY) from error
        if len(content) > _LONGEST_BYTES:
            raise SettingsError(f"csr = {path!r} is too long", f"it has more than {_LONGEST_BYTES} bytes", _REMEDY)
        return content
