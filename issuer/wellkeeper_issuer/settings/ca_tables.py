"""The tables about CAs: `[[cas]]` and `[[cas.limits]]`."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, model_validator

from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.records import Limit, Scope, Spent
from wellkeeper_issuer.settings.tables import Frozen
from wellkeeper_issuer.settings.value_types import AbsolutePath, DirectoryUrl, Name, PositiveNumber


class LimitSettings(Frozen):
    """One limit of a CA: at most `count` of what is `spent` per value of `scope` in any `seconds`."""

    spent: Spent = Field(description="Request or event that the CA counts.")
    scope: Scope = Field(
        description="Each of these has a count of its own at the CA; `exact set` is a set of identifiers."
    )
    count: StrictInt = Field(ge=1, description="Maximum number in any period of `seconds`.")
    seconds: PositiveNumber = Field(description="Length of the period in seconds.")
    exempts_renewals: StrictBool = Field(
        default=False,
        description=(
            "Set to true when the CA does not count orders for a set of identifiers that had a certificate before."
        ),
    )

    def to_limit(self) -> Limit:
        return Limit(self.spent, self.scope, self.count, self.seconds, self.exempts_renewals)


class CaSettings(Frozen):
    """A CA that is not known by name, or what is special about one that is: its account, its chain, its limits."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["name"],
            "allOf": [
                {"if": {"properties": {"name": {"enum": list(CA_DIRECTORIES)}}}, "else": {"required": ["directory"]}},
                {
                    "if": {"properties": {"allow_http": {"const": True}}, "required": ["allow_http"]},
                    "else": {"properties": {"directory": {"pattern": "^https://"}}},
                },
            ],
            "dependentRequired": {"eab_key_id": ["eab_hmac_key_file"], "eab_hmac_key_file": ["eab_key_id"]},
        }
    )

    name: Name = Field(description="Name of the CA in `ca` and in messages. A known name needs no `directory`.")
    directory: DirectoryUrl = Field(
        description="The `https://` URL of the CA's ACME directory. By default that of the known name."
    )
    allow_http: StrictBool = Field(
        default=False,
        description=(
            "Set to true to allow `http://` for the directory and all other URLs of this CA, if the CA is your own."
        ),
    )
    bundle: AbsolutePath | None = Field(
        default=None, description="PEM file that verifies this CA's own HTTPS server. By default `ca_bundle`."
    )
    eab_key_id: str | None = Field(
        default=None,
        description="Key id of the external account binding, as ZeroSSL, Google, SSL.com and Actalis issue it.",
    )
    eab_hmac_key_file: AbsolutePath | None = Field(
        default=None,
        description="File with the HMAC key that belongs to `eab_key_id`. Only the issuer's user may read it.",
    )
    eab_algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        default="HS256", description="Algorithm of the external account binding."
    )
    profile: str | None = Field(default=None, description="Certificate profile for certificates that set none.")
    preferred_chain: str | None = Field(
        default=None,
        description=(
            "Common name of a root or an intermediate. When the CA offers several chains, the one with it is installed."
        ),
    )
    limits: tuple[LimitSettings, ...] | None = Field(
        default=None,
        description="Rate limits of this CA, instead of the ones that Wellkeeper knows; an empty list turns them off.",
    )

    @model_validator(mode="before")
    @classmethod
    def _known_directory(cls, values: Any) -> Any:  # noqa: ANN401 - what TOML gave
        if isinstance(values, dict) and "directory" not in values and values.get("name") in CA_DIRECTORIES:
            return {"directory": CA_DIRECTORIES[values["name"]], **values}
        return values

    @model_validator(mode="after")
    def _check_scheme(self) -> "CaSettings":
        if not (self.allow_http or self.directory.startswith("https://")):
            raise ValueError(
                f"{self.directory!r} is not an https:// URL; for a CA of your own, add allow_http = true here"
            )
        return self

    @model_validator(mode="after")
    def _check_binding(self) -> "CaSettings":
        if (self.eab_key_id is None) != (self.eab_hmac_key_file is None):
            raise ValueError("set both eab_key_id and eab_hmac_key_file, or neither: the CA gives you both")
        return self
