"""Delete the files of a certificate that nginx does not use: check, move away, test nginx, and delete last."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.certificates import removal
from wellkeeper_node.deliver.in_use import served_fingerprints
from wellkeeper_node.errors import InstallError
from wellkeeper_node.probes.probes import NodeProbes


async def check_unused(settings: Settings, name: str) -> None:
    """Raise InstallError when nginx's configuration names a file of the certificate, or nginx serves a version of it.

    An interrupted removal is undone first. Raises ReloadError when the configuration cannot be read.
    """
    await removal.move_back(settings.certificates_dir, name)
    nginx, live_path = build.nginx(settings), build.certificates(settings).live_path(name)
    archive = str(settings.certificates_dir / "archive" / name)
    if where := (await nginx.named([archive])).get(archive):
        raise _in_use(name, f"nginx's configuration names them in {where}")
    if await nginx.mentions(f"{live_path}/"):
        raise _in_use(name, f"nginx's configuration mentions {live_path}")
    versions = await removal.read_versions(settings.certificates_dir, name)
    certificates = [one.certificate for one in versions if one.certificate]
    probes = NodeProbes(speaks_proxy_protocol=settings.nginx.proxy_protocol)
    own = next((one.https_addresses for one in settings.certificates if one.name == name), None)
    served = await served_fingerprints(certificates, nginx, (*settings.nginx.https_addresses, *(own or ())), probes)
    for certificate in certificates:
        if certificate.fingerprint_sha256 in served:
            raise _in_use(name, f"nginx serves the certificate with serial {certificate.serial}")


@asynccontextmanager
async def files_away(settings: Settings, name: str) -> AsyncIterator[None]:
    """Move the files away for the context, and delete them at its end; move them back when it raises.

    Raises InstallError when nginx's test does not pass without them, and ReloadError when it cannot be run.
    """
    root = settings.certificates_dir
    await removal.move_away(root, name)
    try:
        await _test_without(settings, name)
        yield
    except BaseException:  # a cancellation, too
        await removal.move_back(root, name)
        raise
    await removal.delete_moved(root, name)


async def _test_without(settings: Settings, name: str) -> None:
    tested = await build.nginx(settings).test()
    if tested is not None and not tested.passed:
        raise _in_use(name, f"'nginx -t' does not pass without them: {tested.words}")


def _in_use(name: str, why: str) -> InstallError:
    return InstallError(
        f"cannot delete the files of {name}; nothing was changed",
        why,
        "Remove its lines from nginx's configuration, reload nginx, then run this command again.",
    )
