"""The table of one certificate: `[[certificates]]`."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings.tables import Frozen
from wellkeeper_issuer.settings.value_types import AbsolutePath, Address, CaNames, CertificateIdentifier, Name
from wellkeeper_issuer.settings.values import UNNAMED, parse_identifier
from wellkeeper_node.model import KeyType, shortened_name


def _refuse_must_staple(value: object) -> object:
    if value is True:
        raise ValueError(
            "must-staple is not supported: Let's Encrypt ended OCSP in 2025, so nginx has nothing to staple"
        )
    return value


# What a CSR determines, by the key that must not be given beside one.
SET_BY_CSR: Final = {"key_type": "key", "reuse_key": "key", "drop_failing_names": "identifiers"}
# The `source` of a certificate that another client obtains.
EXTERNAL: Final = "external"
# What only an order needs.
OF_ORDERS: Final = ("ca", "csr", "drop_failing_names", "key_type", "profile", "reuse_key")


class CertificateSettings(Frozen):
    """One certificate; its name is the folder below `live/`, by default the first identifier."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["identifiers"],
            "dependentSchemas": {"csr": {"properties": dict.fromkeys(SET_BY_CSR, False)}},
            "if": {"properties": {"source": {"const": EXTERNAL}}, "required": ["source"]},
            "then": {"properties": dict.fromkeys(OF_ORDERS, False)},
            "else": {"properties": {"identifiers": {"items": {"not": {"pattern": r"^\s*\*"}}}}},
        }
    )

    source: Literal["acme", "external"] = Field(
        default="acme",
        description=(
            "`external` for a certificate that another ACME client obtains and `wellkeeper deliver` installs: "
            "it is never ordered here, and may have wildcards."
        ),
    )
    name: Name = Field(
        description=(
            "Name of the certificate, and of its directory below `live/`. By default its first identifier, shortened "
            "if it is longer than 240 characters."
        )
    )
    identifiers: tuple[CertificateIdentifier, ...] = Field(
        min_length=1,
        max_length=100,
        description=(
            'DNS names, in Unicode or as `xn--` labels, and IP addresses. Wildcards only with `source = "external"`, '
            "because http-01 cannot validate them."
        ),
    )
    key_type: KeyType = Field(
        default=KeyType.ECDSA_P256,
        description="Type of the certificate key. A change takes effect at the next renewal.",
    )
    profile: str | None = Field(
        default=None,
        description=(
            "Certificate profile that the CA offers, such as `shortlived`. By default that of the CA's settings."
        ),
    )
    ca: CaNames = Field(
        default=(),
        description="The CA for this certificate, or several in order of preference. By default `ca` at the top level.",
    )
    reuse_key: StrictBool = Field(
        default=False, description="Set to true to keep the key at renewals; only for clients that pin it."
    )
    csr: AbsolutePath | None = Field(
        default=None,
        description=(
            "PEM or DER file with your own certificate signing request. The key stays where you made it, and "
            "`live/NAME/` has none."
        ),
    )
    drop_failing_names: StrictBool = Field(
        default=False,
        description=(
            "Set to true to renew the certificate without the names that the CA has refused for three days, when less "
            "than a tenth of its lifetime is left and the CA accepted other names. It is reported as failing, and the "
            "full set is tried every day."
        ),
    )
    https_addresses: tuple[Address, ...] | None = Field(
        default=None,
        description=(
            "Addresses (`HOST:PORT`) at which this certificate must be served. By default those of the server blocks "
            "of nginx that name it, in http, stream and mail. An empty list: nothing on this host serves it, so it "
            "is installed, nginx is reloaded, and the deploy hook runs."
        ),
    )
    must_staple: Annotated[Literal[False], BeforeValidator(_refuse_must_staple)] = Field(
        default=False,
        description="Only false is accepted: Let's Encrypt ended OCSP in 2025, so nginx has nothing to staple.",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_from_first(cls, values: Any) -> Any:  # noqa: ANN401 - what TOML gave
        if not isinstance(values, dict) or "name" in values:
            return values
        try:
            first = parse_identifier(values["identifiers"][0], may_be_wildcard=True)
            name = shortened_name(first.value.removeprefix("*.").replace(":", "-"))
        except (KeyError, IndexError, TypeError, ValueError):
            name = UNNAMED  # only the mistake in the identifiers is reported
        return {"name": f"0{name}" if name.startswith("-") else name, **values}  # it must not look like an option

    @model_validator(mode="after")
    def _check_external(self) -> "CertificateSettings":
        for key in OF_ORDERS if self.source == EXTERNAL else ():
            if key in self.model_fields_set:
                raise ValueError(f"{key} has no effect with source = 'external': nothing is ordered; remove {key}")
        return self

    @model_validator(mode="after")
    def _check_csr(self) -> "CertificateSettings":
        for key, what in SET_BY_CSR.items() if self.csr else ():
            if key in self.model_fields_set:
                raise ValueError(f"{key} cannot be combined with csr: the CSR determines the {what}; remove {key}")
        return self

    def to_lineage(self, directory_urls: tuple[str, ...] = ()) -> Lineage:
        """With these directories of CAs, to which `Settings.lineages` resolves the names in `ca`."""
        return Lineage(
            name=self.name,
            identifiers=tuple(dict.fromkeys(self.identifiers)),
            key_type=self.key_type,
            profile=self.profile,
            reuses_key=self.reuse_key,
            csr_path=str(self.csr) if self.csr else None,
            drops_failing_names=self.drop_failing_names,
            directory_urls=directory_urls,
            https_addresses=self.https_addresses,
            is_external=self.source == EXTERNAL,
        )
