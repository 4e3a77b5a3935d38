"""trust: print the values for responders and the lines for nginx; public values only."""

from pathlib import Path
from typing import Any

import click

from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings

PUBLISHING_KEY_VARIABLE = "WELLKEEPER_RESPONDER_PUBLISHING_KEY"
THUMBPRINT_VARIABLE = "WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT"


@click.command()
@options.config_option
@options.json_option
def trust(config: Path | None, as_json: bool) -> None:
    """Show the responder's public values and the nginx lines to copy."""
    settings = options.read(config)
    values = public_values(settings)
    if as_json:
        print_json(to_json(settings, values))
    else:
        click.echo(explain(settings, values))


def to_json(settings: Settings, values: dict[str, str]) -> dict[str, Any]:
    live = build.certificates(settings)
    return {"responder": values, "live": {one.name: live.live_path(one.name) for one in settings.certificates}}


def public_values(settings: Settings) -> dict[str, str]:
    """Return the responder's environment, several keys separated by spaces; raises SettingsError without keys."""
    folder = build.accounts(settings)
    publishing_keys = folder.publishing_keys
    thumbprints = dict.fromkeys(account_thumbprint(key) for _, key in folder.account_keys())
    return {
        PUBLISHING_KEY_VARIABLE: " ".join(encode_public_key(key.public_key()) for key in publishing_keys),
        THUMBPRINT_VARIABLE: " ".join(thumbprints),
    }


def explain(settings: Settings, values: dict[str, str]) -> str:
    """Return the next steps, with the lines to copy."""
    flags = "".join(f"  {name}={value}\n" for name, value in values.items())
    return (
        "Start the responder with these public values (or with --publishing-key and --account-thumbprint):\n\n"
        f"{flags}\n"
        "Add to nginx's http block, unless a link in conf.d/ already includes it:\n\n"
        "  include snippets/wellkeeper/upstream.conf;\n\n"
        "and to every server block that listens on port 80:\n\n"
        "  include snippets/wellkeeper/challenge.conf;\n\n"
        f"{_certificate_lines(settings)}"
    )


def _certificate_lines(settings: Settings) -> str:
    if not settings.certificates:
        return "No certificates are configured yet. Run 'wellkeeper certificate add NAME' to add one.\n"
    live = build.certificates(settings)
    blocks = [lines_for_nginx(live.live_path(one.name), one) for one in settings.certificates]
    return "and to the server blocks that listen with ssl:\n\n" + "\n".join(blocks)


def lines_for_nginx(live_path: str, certificate: CertificateSettings) -> str:
    """Return the lines for the server block of this certificate."""
    certificate_key = f"{live_path}/privkey.pem" if certificate.csr is None else "THE KEY OF YOUR CSR"
    return (
        f"  # {', '.join(map(str, certificate.identifiers))}\n"
        f"  ssl_certificate     {live_path}/fullchain.pem;\n"
        f"  ssl_certificate_key {certificate_key};\n"
    )
