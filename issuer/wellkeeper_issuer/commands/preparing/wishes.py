"""The wishes for `prepare`: what its options and variables give, checked without the network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from wellkeeper_issuer.commands.new_settings import FOLDERS, settings_values
from wellkeeper_issuer.commands.terminal.environment import named
from wellkeeper_issuer.commands.terminal.given import Options
from wellkeeper_issuer.commands.terminal.questions import ask_account, checked, given_certificates
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.files import IMPLICIT_NODE
from wellkeeper_issuer.settings.values import parse_address, parse_responder

ERROR_LOG: Final = Path("/run/wellkeeper-nginx/error.log")
_OPTIONS: Final = (
    click.option(
        "--http",
        multiple=True,
        metavar="HOST:PORT",
        help="Address of nginx at which tokens are read back, such as nginx:8080; repeatable.",
    ),
    click.option(
        "--https",
        multiple=True,
        metavar="HOST:PORT",
        help="Address of nginx at which handshakes verify what it serves, such as nginx:8443; repeatable.",
    ),
    click.option(
        "--responder",
        metavar="ADDRESS",
        help="Control listener of the responder: unix:PATH or HOST:PORT.  [default: unix:/run/wellkeeper/control.sock]",
    ),
    click.option(
        "--nginx-agent",
        type=click.Path(path_type=Path, readable=False),
        help="nginx runs in another container, with the agent: the directory of its questions and answers.",
    ),
    click.option(
        "--shared-pid-namespace",
        is_flag=True,
        help="nginx runs in another container of this pod, and is reloaded by signals.",
    ),
    click.option(
        "--nginx-error-log",
        type=click.Path(path_type=Path, readable=False),
        help=f"nginx's error log, which it shares with the issuer.  [default, in a pod: {ERROR_LOG}]",
    ),
    click.option(
        "--program",
        type=click.Path(path_type=Path, readable=False),
        default="/var/lib/wellkeeper/program",
        show_default=True,
        help="Directory for nginx's container: snippets, agent and entrypoint.",
    ),
    click.option(
        "--trust",
        type=click.Path(path_type=Path, readable=False),
        help="The responder's trust file.  [default: that of the settings, else /var/lib/wellkeeper/trust/trust.toml]",
    ),
)
# What each option changes in the settings.
_KEYS: Final[Mapping[str, Callable[[Settings], object]]] = {
    "ca": lambda found: found.ca,
    "ca_bundle": lambda found: found.ca_bundle,
    "contact": lambda found: found.contact,
    "agree_to_terms_of_service": lambda found: found.terms_of_service_agreed,
    "state_dir": lambda found: found.state_dir,
    "certificates_dir": lambda found: found.certificates_dir,
    "trust": lambda found: found.trust_file,
    "http": lambda found: found.nodes[0].http_addresses,
    "https": lambda found: (found.nodes[0].https_addresses, found.nginx.https_addresses),
    "responder": lambda found: found.nodes[0].responder,
    "nginx_agent": lambda found: found.nginx.agent,
    "shared_pid_namespace": lambda found: (found.nginx.pid_file, found.nginx.test),
    "nginx_error_log": lambda found: found.nginx.error_log,
}
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Wishes:
    """The certificates, the values of new settings, and the names of the options that were given."""

    certificates: tuple[tuple[str, ...], ...]
    values: Mapping[str, Any]
    given: frozenset[str]

    def differing(self, settings: Settings) -> list[str]:
        """Return the options whose values differ from existing settings."""
        wanted = Settings.model_validate(self.values)
        names = [name for name, key in _KEYS.items() if name in self.given and key(wanted) != key(settings)]
        return [f"--{name.replace('_', '-')}" for name in names]


def options_of_wishes(command: Command) -> Command:
    """Give the command the options beside those of new settings."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_wishes(given: dict[str, Any], trust: Path, *, is_new: bool) -> Wishes:
    """Return the wishes; raise UsageError that names a wrong or missing option and its variable."""
    options = Options(given)
    certificates = given_certificates(options)
    if is_new and not certificates:
        raise click.UsageError(f"Missing option {named('--certificate')}: the names of a certificate.")
    answers = ask_account(options, asks=False, agree=_require_agreement if is_new else _assume_nothing)
    folders = {key: given[key] for key in FOLDERS} | {"trust_file": trust}
    names = frozenset(name for name, value in given.items() if value)
    return Wishes(certificates, settings_values(answers, folders, _tables(given)), names)


def _require_agreement(name: str, _bundle: Path | None, *, is_terminal: bool) -> None:  # noqa: ARG001 - as `agree`
    """Raise UsageError for a well-known CA. Another one may have no terms, which only the network could tell."""
    if Settings().find_ca(name).directory in CA_DIRECTORIES.values():
        option = named("--agree-to-terms-of-service")
        raise click.UsageError(f"Missing option {option}: read the terms of service of the CA {name} first.")


def _assume_nothing(_name: str, _bundle: Path | None, *, is_terminal: bool) -> None:
    """Ask for no agreement: the settings that exist stay as they are."""


def _tables(given: Mapping[str, Any]) -> dict[str, Any]:
    http, https = _addresses(given, "http"), _addresses(given, "https")
    responder = given["responder"] and checked(given["responder"], parse_responder, "--responder")
    node = _filled(responder=responder, http_addresses=http, https_addresses=https)
    nginx = _mode(given) | _filled(https_addresses=https)
    return _filled(nginx=nginx, nodes=[{"name": IMPLICIT_NODE} | node] if node else [])


def _addresses(given: Mapping[str, Any], name: str) -> list[str]:
    for one in given[name]:
        checked(one, parse_address, f"--{name}")
    return list(given[name])


def _mode(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys for reaching nginx. Without an option, nginx runs on this host."""
    agent, is_shared, error_log = given["nginx_agent"], given["shared_pid_namespace"], given["nginx_error_log"]
    if agent and (is_shared or error_log):
        other = named("--shared-pid-namespace" if is_shared else "--nginx-error-log")
        raise click.UsageError(f"{named('--nginx-agent')} and {other} cannot be combined.")
    if agent:
        return {"agent": str(agent.absolute())}
    shared = {"pid_file": "auto", "test": "reload"} if is_shared else {}
    log = error_log or (ERROR_LOG if is_shared else None)
    return shared | ({"error_log": str(log.absolute())} if log else {})


def _filled(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - values of any kind
    return {key: value for key, value in values.items() if value}
