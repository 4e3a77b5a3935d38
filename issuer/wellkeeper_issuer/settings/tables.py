"""The tables of issuer.toml, each a frozen object; `wellkeeper_issuer.settings` puts them together."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, model_validator

from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Limit, Scope, Spent
from wellkeeper_issuer.settings.values import (
    UNNAMED,
    AbsolutePath,
    Address,
    Argv,
    parse_cas,
    parse_directory_url,
    parse_identifier,
    parse_name,
    parse_responder,
    parse_webhook,
)
from wellkeeper_node.model import Identifier, KeyType, Node

# Strict: true, "5", inf and nan are not numbers.
Seconds = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
PositiveNumber = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]


def _refuse_must_staple(value: object) -> object:
    if value is True:
        raise ValueError(
            "must-staple is not supported: Let's Encrypt ended OCSP in 2025, so nginx has nothing to staple"
        )
    return value


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=False)


class NginxSettings(Frozen):
    """The nginx of this host: how it is tested and reloaded, and where it is asked for what it serves.

    `reload_command` (as `systemctl reload nginx`) beats `reload`. `error_log` is where a refusal is explained; without
    it, the file that nginx's master writes to. A reload waits until nothing new was installed for the debounce, until
    the interval since the last one is over, and while more than `finishing_workers` old workers finish requests.
    """

    command: Argv = ("nginx",)
    reload: Literal["signal", "command"] = "signal"
    reload_command: Argv | None = None
    pid_file: AbsolutePath = Path("/run/nginx.pid")
    error_log: AbsolutePath | None = None
    https_addresses: tuple[Address, ...] = (("127.0.0.1", 443),)
    proxy_protocol: StrictBool = False
    reload_debounce_seconds: Seconds = 2.0
    reload_interval_seconds: Seconds = 10.0
    finishing_workers: Annotated[StrictInt, Field(ge=1)] = 64


class NodeSettings(Frozen):
    """One nginx with its responder; addresses are where *this* node answers, never a load balancer."""

    name: Annotated[str, BeforeValidator(parse_name)]
    responder: Annotated[str, BeforeValidator(parse_responder)] = "unix:/run/wellkeeper/control.sock"
    http_addresses: tuple[Address, ...] = (("127.0.0.1", 80),)
    https_addresses: tuple[Address, ...] = (("127.0.0.1", 443),)
    proxy_protocol: StrictBool = False

    def to_node(self) -> Node:
        return Node(self.name, self.responder, self.http_addresses, self.https_addresses, self.proxy_protocol)


class LimitSettings(Frozen):
    """One limit of a CA: at most `count` of what is `spent` per value of `scope` in any `seconds`."""

    spent: Spent
    scope: Scope
    count: Annotated[StrictInt, Field(ge=1)]
    seconds: PositiveNumber
    exempts_renewals: StrictBool = False

    def to_limit(self) -> Limit:
        return Limit(self.spent, self.scope, self.count, self.seconds, self.exempts_renewals)


class CaSettings(Frozen):
    """A CA that has no built-in name, or options of one that has: account, chain, limits."""

    name: Annotated[str, BeforeValidator(parse_name)]
    directory: Annotated[str, BeforeValidator(parse_directory_url)]
    bundle: AbsolutePath | None = None
    eab_key_id: str | None = None
    eab_hmac_key_file: AbsolutePath | None = None
    eab_algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    profile: str | None = None
    preferred_chain: str | None = None
    limits: tuple[LimitSettings, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_directory(cls, values: Any) -> Any:  # noqa: ANN401 - what TOML gave
        if isinstance(values, dict) and "directory" not in values and values.get("name") in CA_DIRECTORIES:
            return {"directory": CA_DIRECTORIES[values["name"]], **values}
        return values

    @model_validator(mode="after")
    def _check_binding(self) -> "CaSettings":
        if (self.eab_key_id is None) != (self.eab_hmac_key_file is None):
            raise ValueError("set both eab_key_id and eab_hmac_key_file, or neither: the CA gives you both")
        return self


class HooksSettings(Frozen):
    """Commands around a renewal, no shell: before and after what is due, for each one taken, for each failure."""

    pre: Argv | None = None
    deploy: Argv | None = None
    post: Argv | None = None
    failed: Argv | None = None
    timeout_seconds: PositiveNumber = 60.0


class NotificationsSettings(Frozen):
    """The webhook that receives failures, dangers and recoveries: JSON by POST."""

    webhook: Annotated[str, BeforeValidator(parse_webhook)] | None = None


class RehearsalSettings(Frozen):
    """Rehearsals of renewals: the test CA, if any, and the daemon's interval, if any."""

    ca: str | None = None
    every_days: PositiveNumber | None = None


class CertificateSettings(Frozen):
    """One certificate; its name is the folder below `live/`, by default the first identifier."""

    name: Annotated[str, BeforeValidator(parse_name)]
    identifiers: Annotated[
        tuple[Annotated[Identifier, BeforeValidator(parse_identifier)], ...], Field(min_length=1, max_length=100)
    ]
    key_type: KeyType = KeyType.ECDSA_P256
    profile: str | None = None
    ca: Annotated[tuple[str, ...], BeforeValidator(parse_cas)] = ()
    reuse_key: StrictBool = False
    csr: AbsolutePath | None = None
    must_staple: Annotated[Literal[False], BeforeValidator(_refuse_must_staple)] = False

    @model_validator(mode="before")
    @classmethod
    def _name_from_first(cls, values: Any) -> Any:  # noqa: ANN401 - what TOML gave
        if not isinstance(values, dict) or "name" in values:
            return values
        try:
            first = parse_identifier(values["identifiers"][0]).value
        except (KeyError, IndexError, TypeError, ValueError):
            first = UNNAMED  # only the mistake in the identifiers is reported
        return {"name": first.replace(":", "-"), **values}

    @model_validator(mode="after")
    def _check_csr(self) -> "CertificateSettings":
        for key in ("key_type", "reuse_key") if self.csr else ():
            if key in self.model_fields_set:
                raise ValueError(f"{key} cannot be combined with csr: the CSR determines the key; remove {key}")
        return self

    def to_lineage(self) -> Lineage:
        """Return the lineage without its CAs, which `Settings.lineages` resolves."""
        return Lineage(
            name=self.name,
            identifiers=tuple(dict.fromkeys(self.identifiers)),
            key_type=self.key_type,
            profile=self.profile,
            reuses_key=self.reuse_key,
            csr_path=str(self.csr) if self.csr else None,
        )
