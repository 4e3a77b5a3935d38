"""The JSON Schema of issuer.toml, made from the models; every description in it is that of a field.

It refuses nothing that the program accepts. The program also refuses what no schema expresses: the same name twice, an
unknown CA, directories inside each other, inf and nan.
"""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import NullableSchema, WithDefaultSchema

from wellkeeper_issuer.settings import Settings

_DEFINITIONS: Final = "$defs"
_HEAD: Final = {
    "$schema": GenerateJsonSchema.schema_dialect,
    "title": "Settings of Wellkeeper's issuer",
    "description": "issuer.toml, and its drop-ins with [[certificates]].",
}


class _Generator(GenerateJsonSchema):
    """TOML has no null: a key without a value is left out."""

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """Leave the default out: `json_schema` adds it as TOML has it."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - as pydantic's
        return False


def json_schema() -> dict[str, Any]:
    """Return the schema, for draft 2020-12."""
    found = Settings.model_json_schema(schema_generator=_Generator)
    tables = found.pop(_DEFINITIONS)
    for model in models(Settings):
        table = found if model is Settings else tables[model.__name__]
        for key, default in defaults(model).items():
            table["properties"][key]["default"] = default
    for one in (found, *tables.values()):
        # Names and docstrings of classes, which are for those who read the code.
        one.pop("title", None)
        one.pop("description", None)
    return {**_HEAD, **found, _DEFINITIONS: tables}


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the model, and the models of the tables below it."""
    yield model
    for field in model.model_fields.values():
        if (inner := table_model(field.annotation)) is not None:
            yield from models(inner)


def table_model(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    """Return the model of a table or of a list of tables; None for other types."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (table_model(one) for one in getattr(annotation, "__args__", ()))
    return next((one for one in inner if one is not None), None)


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults of the values in a table, as TOML has them; without keys that have none."""
    tables = {key for key, field in model.model_fields.items() if table_model(field.annotation)}
    return model.model_construct().model_dump(mode="json", exclude_none=True, exclude=tables)
