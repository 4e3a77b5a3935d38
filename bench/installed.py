"""Write the files of many certificates with the issuer's own classes: `python -m bench.installed ISSUER_TOML`.

Every configured certificate is installed, served, and due in two months; its CA need not be asked for hours, and does
not exist.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.ca import Ca
from wellkeeper_issuer import pki
from wellkeeper_issuer.model import Attempt, Lineage
from wellkeeper_issuer.obtain.due import plan
from wellkeeper_issuer.outside.state.state import State, open_state
from wellkeeper_issuer.records import Check, Origin, Seen
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Flip, Pair

_ASKED_IN: Final = timedelta(hours=12)
# Written together: one wait for the disk does for all of them.
_TOGETHER: Final = 500


def write(settings: Settings) -> None:
    """Write the files beside the keys that `init` created; in memory first, if possible, which is faster."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK | os.X_OK) else None) as folder:
        state_dir, certificates_dir = Path(folder, "state"), Path(folder, "certificates")
        state_dir.mkdir(mode=0o700)
        update = {"state_dir": state_dir, "certificates_dir": certificates_dir}
        asyncio.run(_write(settings.model_copy(update=update)))
        for made, wanted in ((state_dir, settings.state_dir), (certificates_dir, settings.certificates_dir)):
            shutil.copytree(made, wanted, symlinks=True, dirs_exist_ok=True)


async def _write(settings: Settings) -> None:
    """Write lineages one by one to the disk, and many at a time to the state."""
    now = datetime.now(UTC)
    ca, folders = Ca(now), CertificateFolders(settings.certificates_dir)
    lineages = settings.lineages()
    async with open_state(settings.state_dir / "state.db", may_write=True) as state:
        for first in range(0, len(lineages), _TOGETHER):
            several = lineages[first : first + _TOGETHER]
            versions = [await _install(lineage, ca, folders, state) for lineage in several]
            await state.deliveries.record_reloaded([lineage.name for lineage in several])
            await asyncio.gather(
                *(_record(one, version, folders, state) for one, version in zip(several, versions, strict=True))
            )


async def _install(lineage: Lineage, ca: Ca, folders: CertificateFolders, state: State) -> str:
    certificate_key_pem = pki.make_certificate_key(lineage.key_type)
    csr_der = pki.make_csr(certificate_key_pem, lineage.identifiers)
    chain_pem = ca.leaf(csr_der)
    directory_url = lineage.directory_urls[0]
    await state.attempts.record_attempt(
        Attempt(
            lineage.name,
            directory_url,
            lineage.identifiers,
            certificate_key_pem,
            csr_der,
            chain_pem=chain_pem,
            account_url=f"{directory_url}/account/1",
        )
    )
    version = await folders.write(lineage.name, Pair(certificate_key_pem, chain_pem))
    await folders.switch(lineage.name, version)
    await state.deliveries.record_flip(Flip(lineage.name, None, version))
    return version


async def _record(lineage: Lineage, version: str, folders: CertificateFolders, state: State) -> None:
    installed = await folders.installed(lineage.name)
    if installed is None or installed.version != version:
        raise ValueError(f"{lineage.name} is not installed as version {version}")
    now, directory_url = datetime.now(UTC), lineage.directory_urls[0]
    planned = plan(installed, Origin(directory_url, f"{directory_url}/account/1"), now, random.random)
    await state.schedules.record_schedule(replace(planned, ask_at=now + _ASKED_IN))
    await state.deliveries.record_served(lineage.name)
    await state.deliveries.record_check(Check(lineage.name, version, Seen.SERVED, now, served_version=version))
    await state.notes.forget_owed_hook(lineage.name)


if __name__ == "__main__":
    write(read_settings(Path(sys.argv[1])))
