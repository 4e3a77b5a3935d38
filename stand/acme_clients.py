"""Other real ACME clients, each with its own directory; they find our hooks and programs in PATH."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from stand import commands
from stand.pebble import Pebble
from stand.processes import PROGRAMS, PROJECT, StandError, find_program, search_path

HOOKS: Final = PROJECT / "examples/clients"
_DELIVER: Final = PROJECT / "examples/deliver"
_CACHE: Final = PROJECT / ".cache"
# dehydrated starts hundreds of processes, which takes minutes on a busy machine.
_SECONDS: Final = 600.0
# curl of uacme reads no other file, so that only its own mounts have the CA's certificate there.
_SYSTEM_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
_WITH_BUNDLE: Final = f'mount --bind "$0" {_SYSTEM_BUNDLE} && exec "$@"'


@dataclass(frozen=True, slots=True)
class Client:
    """A client that obtains certificates of one account; `folder` is its own, `environment` is for its hooks."""

    folder: Path
    ca: Pebble
    environment: Mapping[str, str]

    async def obtain(self, *names: str, delivers: bool = False) -> str:
        """Obtain a new certificate for the names, also if one exists, and return the output. Raises StandError.

        With `delivers`, the client runs our deploy hook.
        """
        raise NotImplementedError

    def chain(self, name: str) -> Path:
        """Return the file with its certificate for this first name."""
        raise NotImplementedError

    async def run(self, *argv: str) -> str:
        """Return all output. Raises StandError when the client fails."""
        self.folder.mkdir(exist_ok=True)
        own = {"PATH": f"{PROGRAMS}:{search_path()}", "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}
        environment = own | dict(self.environment)
        finished = await commands.run(*argv, environment=environment, folder=self.folder, seconds=_SECONDS)
        said = finished.out + finished.err
        if finished.exit_code:
            raise StandError(f"{argv[0]} ended with {finished.exit_code}: {said}")
        return said


class CertbotHooks(Client):
    """certbot with manual hooks."""

    def _way(self) -> Sequence[str]:
        hooks = (f"--manual-auth-hook={HOOKS}/certbot-auth", f"--manual-cleanup-hook={HOOKS}/certbot-cleanup")
        return ("--manual", "--preferred-challenges=http", *hooks)

    def chain(self, name: str) -> Path:
        return self.folder / "config/live" / name / "fullchain.pem"

    async def obtain(self, *names: str, delivers: bool = False) -> str:
        folders = [f"--{kind}-dir={self.folder}/{kind}" for kind in ("config", "work", "logs")]
        hook = [f"--deploy-hook={_DELIVER}/certbot"] if delivers else []
        return await self.run(
            *("env", f"REQUESTS_CA_BUNDLE={self.ca.ca_bundle}", find_program("certbot", _CACHE / "certbot/bin")),
            *("certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--force-renewal"),
            *(f"--server={self.ca.directory_url}", "--preferred-profile=default", *folders),
            *(*self._way(), *hook, f"--cert-name={names[0]}"),
            *(f"--domain={name}" for name in names),
        )


class CertbotPlugin(CertbotHooks):
    """certbot with our plugin."""

    def _way(self) -> Sequence[str]:
        options = {
            name: self.environment[f"WELLKEEPER_PUBLISH_{name.upper()}"] for name in ("control", "key", "through")
        }
        return ("-a", "wellkeeper", *(f"--wellkeeper-{name}={value}" for name, value in options.items()))

    async def renew(self) -> str:
        """Renew with the options that certbot has stored."""
        folders = [f"--{kind}-dir={self.folder}/{kind}" for kind in ("config", "work", "logs")]
        program = find_program("certbot", _CACHE / "certbot/bin")
        bundle = f"REQUESTS_CA_BUNDLE={self.ca.ca_bundle}"
        quick = ("--non-interactive", "--no-random-sleep-on-renew", "--force-renewal")
        return await self.run("env", bundle, program, "renew", *quick, *folders)


class Dehydrated(Client):
    """dehydrated with our hook, once per name."""

    hook_chain: ClassVar = "no"

    def chain(self, name: str) -> Path:
        return self.folder / "certs" / name / "fullchain.pem"

    async def obtain(self, *names: str, delivers: bool = False) -> str:
        (self.folder / "wellknown").mkdir(parents=True, exist_ok=True)
        hook = (_DELIVER if delivers else HOOKS) / "dehydrated"
        (self.folder / "config").write_text(
            f"CA={self.ca.directory_url}\nBASEDIR={self.folder}\nWELLKNOWN={self.folder}/wellknown\n"
            f"HOOK={hook}\nHOOK_CHAIN={self.hook_chain}\nKEY_ALGO=prime256v1\nACCOUNT_KEYSIZE=2048\n"
            f'CURL_OPTS="--cacert {self.ca.ca_bundle}"\n'
        )
        program = (find_program("bash"), str(_CACHE / "dehydrated/usr/bin/dehydrated"), "-f", f"{self.folder}/config")
        await self.run(*program, "--register", "--accept-terms")
        return await self.run(*program, "--cron", "--force", "--domain", " ".join(names))


class DehydratedChain(Dehydrated):
    """dehydrated with our hook, once for all names."""

    hook_chain = "yes"


class Uacme(Client):
    """uacme with our hook; needs root."""

    def chain(self, name: str) -> Path:
        return self.folder / "etc" / name / "cert.pem"

    async def obtain(self, *names: str, delivers: bool = False) -> str:
        inside = ("unshare", "--mount", "sh", "-c", _WITH_BUNDLE, str(self.ca.ca_bundle))
        uacme, own = _CACHE / "uacme/usr/bin/uacme", ("-v", "-a", self.ca.directory_url, "-c", f"{self.folder}/etc")
        if not (self.folder / "etc/private/key.pem").exists():
            await self.run(*inside, str(uacme), *own, "-y", "-t", "EC", "new")
        places = f"PATH={uacme.parent}:{PROGRAMS}:{search_path()}", f"UACME_CONF={self.folder}/etc"
        program = ("env", *places, str(_DELIVER / "uacme")) if delivers else (str(uacme),)
        return await self.run(*inside, *program, *own, "-f", "-t", "EC", "-h", str(HOOKS / "uacme"), "issue", *names)


class AcmeSh(Client):
    """acme.sh with a webroot that `wellkeeper-publish --watch` watches."""

    def chain(self, name: str) -> Path:
        return self.folder / f"{name}_ecc/fullchain.cer"

    async def obtain(self, *names: str, delivers: bool = False) -> str:
        domains = [word for name in names for word in ("-d", name)]
        program = (str(_CACHE / "acme.sh/usr/share/acme.sh/acme.sh"), "--home", str(self.folder))
        said = await self.run(
            *(*program, "--server", self.ca.directory_url, "--ca-bundle", str(self.ca.ca_bundle)),
            *("--issue", "--force", "-w", self.environment["WEBROOT"], *domains),
        )
        if not delivers:
            return said
        (self.folder / "deploy").mkdir(exist_ok=True)
        shutil.copy(_DELIVER / "acme.sh", self.folder / "deploy/wellkeeper.sh")
        return await self.run(*program, "--deploy", "--ecc", "-d", names[0], "--deploy-hook", "wellkeeper")


class Lego(Client):
    """lego with such a webroot."""

    def chain(self, name: str) -> Path:
        return self.folder / f"certificates/{name}.crt"

    async def obtain(self, *names: str, delivers: bool = False) -> str:
        domains = [word for name in names for word in ("--domains", name)]
        hook = ("--run-hook", str(_DELIVER / "lego")) if delivers else ()
        return await self.run(
            *("env", f"LEGO_CA_CERTIFICATES={self.ca.ca_bundle}", str(_CACHE / "lego/usr/bin/lego"), "--accept-tos"),
            *("--server", self.ca.directory_url, "--email", "a@example.org", "--path", str(self.folder), "--http"),
            *("--http.webroot", self.environment["WEBROOT"], *domains, "run", *hook),
        )
