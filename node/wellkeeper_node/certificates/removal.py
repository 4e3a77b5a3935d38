"""Remove the files of a certificate permanently: `live/NAME` first, then all versions in `archive/NAME`."""

import shutil
from pathlib import Path

from wellkeeper_node import durable, rights


async def remove_files(certificates_dir: Path, lineage: str) -> None:
    """Remove the files. Idempotent. Raises InstallError; another call removes what is left."""

    def work() -> None:
        if not certificates_dir.is_dir():
            return
        with rights.of_owner(certificates_dir), durable.locked(certificates_dir / ".lock", lineage):
            live, archive = certificates_dir / "live" / lineage, certificates_dir / "archive" / lineage
            live.unlink(missing_ok=True)
            if archive.is_dir():
                shutil.rmtree(archive)
            for folder in (live.parent, archive.parent):
                if folder.is_dir():
                    durable.sync(folder)

    with durable.translated(certificates_dir):
        await durable.to_its_end(work)
