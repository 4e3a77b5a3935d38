"""Report an import: what is imported, what is not and why, and the remaining steps."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from wellkeeper_client import services
from wellkeeper_issuer import idn
from wellkeeper_issuer.advice.certbot_lines import CertbotLine, Kind
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.takeover import Found, FoundAccount, Taken, Takeover
from wellkeeper_node.certificates.folders import CertificateFolders

CERTBOT: Final = "certbot"
Hooks = Sequence[tuple[str, str]]
Lines = Sequence[CertbotLine]

_NAMES: Final = {url: name for name, url in CA_DIRECTORIES.items()}
_REMEDIES: Final = {
    Kind.REDIRECT: (
        "Replace certbot's redirects with 'include snippets/wellkeeper/challenge.conf;' and"
        " 'location / { return 301 https://$host$request_uri; }':"
    ),
    Kind.FILE: "Before you remove certbot, copy the files of these lines to /etc/nginx and change the paths:",
}
_STOP_TIMER: Final = "systemctl disable --now certbot.timer   (or remove the line in /etc/cron.d/certbot)"
_STOP: Final = {
    "certbot": "stop the container, timer or cron job that runs 'certbot renew'",
    "acme.sh": "acme.sh --uninstall-cronjob   (as its user; or stop the container)",
    "lego": "stop the container, timer or cron job that runs 'lego … renew'",
    "dehydrated": "stop the container, timer or cron job that runs 'dehydrated --cron'",
}
# Hooks that nearly everyone has for reloading nginx, which Wellkeeper does itself.
_RELOADS: Final = (
    "systemctl reload nginx",
    "systemctl restart nginx",
    "service nginx reload",
    "service nginx restart",
    "nginx -s reload",
    "/etc/init.d/nginx reload",
)


def report_json(
    plan: Takeover, tables: Mapping[str, dict[str, Any]], found: Found, lines: Lines, done: Mapping[str, str]
) -> dict[str, Any]:
    name = "certbot_name" if found.client == CERTBOT else "found_name"
    return {
        "taken": [
            {
                "name": one.name,
                name: one.found_name,
                "settings": tables[one.name],
                "directory_url": one.directory_url,
                "account_url": one.account_url or None,
                "is_test": one.is_test,
                "not_after": one.certificate.not_after.isoformat(),
                "notes": list(one.notes),
                "done": done.get(one.name),
            }
            for one in plan.taken
        ],
        "left_out": [{name: one.found_name, "reason": one.reason} for one in plan.left_out],
        "accounts": [
            {
                "directory_url": one.directory_url,
                "account_url": one.account_url,
                "done": done.get(one.directory_url),
            }
            for one in plan.accounts
        ],
        "hooks": [{"event": event, "command": command} for event, command in found.hooks],
        "nginx": [
            {
                "file": one.file,
                "line": one.line,
                "text": one.text,
                "kind": one.kind.value,
                "remedy": _REMEDIES[one.kind],
            }
            for one in lines
        ],
        "notes": list(plan.notes),
    }


def report(  # noqa: PLR0913, PLR0917 - each is a part of the report
    plan: Takeover,
    folder: Path,
    folders: CertificateFolders,
    found: Found,
    lines: Lines,
    done: Mapping[str, str] | None,
) -> str:
    """Return the report; `done` has the results of the import, None without --apply."""
    parts = [_taken(plan.taken, done), _left_out(plan), _accounts(plan.accounts, done)]
    parts += [_hooks(found.hooks), _nginx(lines), "\n".join(plan.notes)]
    if plan.taken:
        following = _by_hand(plan.taken, folder, folders, found.client) if done is not None else None
        parts.append(following or _next(folder, found.client))
    return "\n\n".join(filter(None, parts))


def _taken(taken: Sequence[Taken], done: Mapping[str, str] | None) -> str:
    if not taken:
        return "There are no certificates to import."
    lines = ["Imported certificates:" if done is not None else "These certificates would be imported:"]
    for one in taken:
        names = ", ".join(idn.describe(str(name)) for name in one.identifiers)
        key_type = one.table.get("key_type", "ecdsa-p256")
        mark = "test certificate, " if one.is_test else ""
        until = f"{mark}until {one.certificate.not_after:%Y-%m-%d}"
        what = f"  {one.name}: {names}; {_ca(one.directory_url)}, {key_type}, {until}"
        lines.append(f"{what}; {done[one.name]}" if done is not None else what)
        lines += [f"    {note}" for note in one.notes]
    return "\n".join(lines)


def _left_out(plan: Takeover) -> str:
    if not plan.left_out:
        return ""
    return "\n".join(["Not imported:", *(f"  {one.found_name}: {one.reason}" for one in plan.left_out)])


def _accounts(accounts: Sequence[FoundAccount], done: Mapping[str, str] | None) -> str:
    lines = [
        f"  {_ca(one.directory_url)}: {one.account_url}" + (f"; {done[one.directory_url]}" if done is not None else "")
        for one in accounts
    ]
    return "\n".join(["Accounts, with their keys:", *lines]) if lines else ""


def _hooks(hooks: Hooks) -> str:
    """Return what to do about hooks: ours run for all certificates and without a shell, so the user must decide."""
    own = [(event, command) for event, command in hooks if command.removesuffix(".service") not in _RELOADS]
    lines = []
    if len(own) < len(hooks):
        lines.append("Hooks that reload nginx are no longer needed: Wellkeeper reloads nginx and verifies the result.")
    if own:
        lines += [
            "Other hooks are not imported. Copy those that you still need to the settings, one command per event:",
            "[hooks]",
        ]
        lines += [f"{event} = {json.dumps(['/bin/sh', '-c', command])}" for event, command in own]
    return "\n".join(lines)


def _nginx(lines: Lines) -> str:
    """List what `certbot --nginx` wrote, by what has to be done about it."""
    parts = []
    for kind, remedy in _REMEDIES.items():
        found = [f"  {one.file}:{one.line}: {one.text}" for one in lines if one.kind is kind]
        parts += [remedy, *found] if found else []
    return "\n".join(parts)


def _next(folder: Path, client: str) -> str:
    command = f"wellkeeper import {client} {folder} --apply"
    return f"Nothing was changed. Run '{command}' to import them; no certificate is reissued."


def _by_hand(taken: Sequence[Taken], folder: Path, folders: CertificateFolders, client: str) -> str:
    has_timer = client == CERTBOT and services.is_booted()
    lines = [
        "Next steps, in this order (docs/migration.md):",
        f"1. {_STOP_TIMER if has_timer else _STOP[client]}",
        "2. wellkeeper trust --write   (the responder then answers for these accounts)",
        f"3. In each nginx server block on port 80, replace the challenge location of {client}'s webroot",
        "     location /.well-known/acme-challenge/ { root …; }",
        "   with",
        "     include snippets/wellkeeper/challenge.conf;",
        "   and change the paths of certificates and keys:",
    ]
    for one in taken:
        for path, ours in one.paths:
            lines += [f"     {path}", f"  -> {folders.live_path(one.name)}/{ours}"]
    return "\n".join(
        [
            *lines,
            f"4. nginx -t, then {services.clause('reload', 'nginx')}",
            "5. wellkeeper renew   (nothing is due: it only verifies that nginx serves them)",
            f"{folder} was not changed. Keep it until the first renewal.",
        ]
    )


def _ca(directory_url: str) -> str:
    return _NAMES.get(directory_url, directory_url)
