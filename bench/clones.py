"""Clone a real lineage many times: the same files with other names, nothing due, and no CA to ask."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

# certbot asks for no renewal info before this time (local time, as certbot writes it).
_NOT_ASKED: Final = timedelta(days=30)


def clone_certbot(etc: Path, name: str, count: int) -> None:
    """Add clones of the lineage `name` to certbot's directory, until there are `count`. Their names sort behind it."""
    source = (etc / f"renewal/{name}.conf").read_text().partition("[acme_renewal_info]")[0].rstrip()
    asks_at = (datetime.now() + _NOT_ASKED).isoformat(timespec="seconds")  # noqa: DTZ005 - certbot's own form
    calm = (
        f"{source.partition('[acme_renewal_info]')[0].rstrip()}\n\n[acme_renewal_info]\nari_retry_after = {asks_at}\n"
    )
    (etc / f"renewal/{name}.conf").write_text(calm)
    for number in range(1, count):
        clone = f"{name}-{number:05}"
        text = calm
        for kind in ("archive", "live"):
            text = text.replace(f"/{kind}/{name}", f"/{kind}/{clone}")
            (etc / kind / clone).mkdir()
        (etc / f"renewal/{clone}.conf").write_text(text)
        for live in (etc / "live" / name).glob("*.pem"):
            file = live.resolve()
            shutil.copyfile(file, etc / "archive" / clone / file.name)
            (etc / "live" / clone / live.name).symlink_to(f"../../archive/{clone}/{file.name}")
