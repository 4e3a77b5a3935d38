"""The real certbot, as its users run it, with a webroot, and with a separate directory instead of /etc/letsencrypt."""

from pathlib import Path

from stand import commands
from stand.pebble import Pebble
from stand.processes import PROJECT, StandError, find_program, search_path


class Certbot:
    """certbot with its directory `etc`; nginx serves `webroot`."""

    def __init__(self, folder: Path, ca: Pebble) -> None:
        self.etc = folder / "letsencrypt"
        self.webroot = folder / "webroot"
        self.webroot.mkdir(parents=True)
        self._ca = ca
        self._folders = [f"--config-dir={self.etc}", f"--work-dir={folder}/work", f"--logs-dir={folder}/logs"]

    def live(self, name: str) -> Path:
        return self.etc / "live" / name

    async def obtain(self, *names: str, key_type: str = "ecdsa", more: tuple[str, ...] = ()) -> None:
        """Obtain one certificate, named after the first name. Raises StandError."""
        domains = [f"--domain={name}" for name in names]
        webroot = ["--webroot", f"--webroot-path={self.webroot}", "--preferred-profile=default"]
        await self.run("certonly", *webroot, f"--key-type={key_type}", *domains, *more)

    async def run(self, command: str, *arguments: str) -> str:
        """Return the output. Raises StandError when certbot fails."""
        finished = await commands.run(
            find_program("certbot", PROJECT / ".cache/certbot/bin"),
            *(command, "--non-interactive", "--agree-tos", "--register-unsafely-without-email"),
            *(f"--server={self._ca.directory_url}", *self._folders, *arguments),
            environment={"PATH": search_path(), "LC_ALL": "C.UTF-8", "REQUESTS_CA_BUNDLE": str(self._ca.ca_bundle)},
        )
        if finished.exit_code:
            raise StandError(f"certbot {command} ended with {finished.exit_code}: {finished.out}{finished.err}")
        return finished.out + finished.err
