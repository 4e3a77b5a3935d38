"""The table of one certificate: `[[certificates]]`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings.tables import Frozen
from wellkeeper_issuer.settings.value_types import AbsolutePath, CaNames, CertificateIdentifier, Name
from wellkeeper_issuer.settings.values import UNNAMED, parse_identifier
from wellkeeper_node.model import KeyType


def _refuse_must_staple(value: object) -> object:
    if value is True:
        raise ValueError(
            "must-staple is not supported: Let's Encrypt ended OCSP in 2025, so nginx has nothing to staple"
        )
    return value


class CertificateSettings(Frozen):
    """One certificate; its name is the folder below `live/`, by default the first identifier."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["identifiers"],
            "dependentSchemas": {"csr": {"properties": {"key_type": False, "reuse_key": False}}},
        }
    )

    name: Name = Field(
        description="Name of the certificate, and of its directory below `live/`. By default its first identifier."
    )
    identifiers: tuple[CertificateIdentifier, ...] = Field(
        min_length=1,
        max_length=100,
        description=(
            "DNS names, in Unicode or as `xn--` labels, and IP addresses. Wildcards are impossible, because http-01 "
            "cannot validate them."
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
            first = parse_identifier(values["identifiers"][0]).value
        except (KeyError, IndexError, TypeError, ValueError):
            first = UNNAMED  # only the mistake in the identifiers is reported
        full = f"0{first}" if first.startswith(":") else first  # a name must not start with "-"
        return {"name": full.replace(":", "-"), **values}

    @model_validator(mode="after")
    def _check_csr(self) -> "CertificateSettings":
        for key in ("key_type", "reuse_key") if self.csr else ():
            if key in self.model_fields_set:
                raise ValueError(f"{key} cannot be combined with csr: the CSR determines the key; remove {key}")
        return self

    def to_lineage(self) -> Lineage:
        """With the CAs that its own `ca` names still unresolved: `Settings.lineages` resolves them."""
        return Lineage(
            name=self.name,
            identifiers=tuple(dict.fromkeys(self.identifiers)),
            key_type=self.key_type,
            profile=self.profile,
            reuses_key=self.reuse_key,
            csr_path=str(self.csr) if self.csr else None,
        )
