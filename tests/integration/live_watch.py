"""A continuous reader: watches every `live/` link and keeps whatever a reader must never see."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from wellkeeper_node.certificates import reading

_PAUSE_SECONDS: Final = 0.001
_FILES: Final = ("fullchain.pem", "privkey.pem")


class LiveWatch:
    """`with LiveWatch(certificates_dir, names) as watch`; afterwards `faults` is empty and `seen` holds each pair.

    A pair is read again whenever one of its files was replaced or touched.
    """

    def __init__(self, certificates_dir: Path, names: Sequence[str], pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._links = [certificates_dir / "live" / name for name in names]
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live watch")
        self._known: set[tuple[object, ...]] = set()
        self.faults: list[str] = []

    @property
    def pair_count(self) -> int:
        """Return the number of different pairs that were live at some time."""
        return len(self._known)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause_seconds):
            for link in self._links:
                self._look(link)

    def _look(self, link: Path) -> None:
        try:
            # Resolved once, as a reader of a pair must.
            folder = os.open(link, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self.faults.append(f"{link}: {error}")
            return
        try:
            self._read(link, folder)
        except (OSError, ValueError) as error:
            self.faults.append(f"{link}: {error}")
        finally:
            os.close(folder)

    def _read(self, link: Path, folder: int) -> None:
        stats = [os.stat(name, dir_fd=folder) for name in _FILES]
        identity = (link, *((one.st_ino, one.st_mtime_ns, one.st_size) for one in stats))
        if identity in self._known:
            return
        chain, key = (_content(folder, name) for name in _FILES)
        if not reading.certificate_key_matches(chain, key):
            self.faults.append(f"{link}: the key is not that of the certificate")
        self._known.add(identity)


def _content(folder: int, name: str) -> bytes:
    with open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=folder)) as file:
        return file.read()
