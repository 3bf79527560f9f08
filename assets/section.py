"""What all sections of params.yaml share: strict fields, names, and messages that say what is allowed."""

from types import UnionType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from assets.errors import AssayError, did_you_mean

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
"""Names become stage names, folders and table rows: lower case, digits, underscores."""


class ParamsError(AssayError):
    """A parameter that is missing, misspelt or out of range."""


class Section(BaseModel):
    """A mapping of params.yaml: no unknown keys, no changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def checked_options(model: type[BaseModel], options: dict[str, Any], where: str) -> Any:
    """Validate free-form `options` against the model of their kind, with the same messages."""
    try:
        return model.model_validate(options)
    except ValidationError as error:
        lines = [explain(item, where, model) for item in error.errors()]
        raise ParamsError("\n".join(lines)) from None


def explain(item: Any, where: str, root: type[BaseModel]) -> str:
    """One of pydantic's complaints as a sentence that begins with `where` and names the nearest right key."""
    location = [str(part) for part in item["loc"] if part != "[key]"]
    key = ".".join(location)
    if item["type"] == "extra_forbidden":
        allowed = _fields_at(root, location[:-1])
        return f"{where}: {key} is not a parameter; {did_you_mean(location[-1], allowed)}"
    if item["type"] == "missing":
        return f"{where}: {key} is missing"
    message = item["msg"].removeprefix("Value error, ")
    if not key:
        return f"{where}: {message}"
    if item["type"] == "value_error":
        return f"{where}: {key}: {message}"
    return f"{where}: {key} is {item['input']!r}: {message}"


def _fields_at(root: type[BaseModel], location: list[str]) -> list[str]:
    """Names that may stand below `location` in the parameter tree."""
    annotation: Any = root
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = annotation.model_fields.items()
            annotation = next(f.annotation for name, f in fields if part in (name, f.alias))
            if get_origin(annotation) is dict:
                annotation = {"value": get_args(annotation)[1]}
            elif isinstance(annotation, UnionType):  # a section that may be null
                annotation = get_args(annotation)[0]
        elif isinstance(annotation, dict):
            annotation = annotation["value"]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [field.alias or name for name, field in annotation.model_fields.items()]
    return []
