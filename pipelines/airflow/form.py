"""The trigger form: every key of params.yaml as a typed field, and what a submitted form changes in it.

Knows nothing of Airflow but how it reads a field: a default, a description, a section, and a JSON schema.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.core.explain import in_words
from components.core.params import Params

Schema = dict[str, Any]
# Airflow's form reads these of a field's schema and silently moves a number into its limits, or hides a list in a wrong
# editor. Within `allOf` its server still checks them, and refuses with the reason.
SHOWN = ("type", "enum")


@dataclass(frozen=True)
class Field:
    """A field of the form.

    Attributes:
        name: the path in params.yaml, such as `pretrain.epochs`.
        section: the heading that it stands under, None for the top of the form.
        default: what it holds when the form opens.
        description: help and range, in words.
        schema: the JSON schema that its value must satisfy, without references.
    """

    name: str
    section: str | None
    default: Any
    description: str
    schema: Schema


def _inlined(node: Any, definitions: Schema) -> Any:
    """A schema without references and without what only describes."""
    if isinstance(node, list):
        return [_inlined(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = _inlined(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
        return {**target, **{key: value for key, value in node.items() if key == "description"}}
    return {
        key: {name: _inlined(part, definitions) for name, part in value.items()}
        if key in ("properties", "patternProperties")
        else _inlined(value, definitions)
        for key, value in node.items()
        if key != "title"
    }


def _types(node: Schema) -> list[str]:
    """The JSON types that a schema without references allows."""
    choices = node.get("anyOf", [node])
    return [str(choice["type"]) for choice in choices]


def _items(node: Schema) -> Schema | None:
    """The type of a list's members, by which the form chooses its editor."""
    for choice in node.get("anyOf", [node]):
        if choice.get("type") == "array":
            members = choice.get("prefixItems") or [choice.get("items", {})]
            return {"type": members[0].get("type", "string")}
    return None


def _schema(node: Schema) -> Schema:
    """What Airflow gets of a key's schema: the type in sight, every limit where only its server looks."""
    types = _types(node)
    limits = {key: value for key, value in node.items() if key not in (*SHOWN, "description", "$defs")}
    items = _items(node)
    return {
        "type": types[0] if len(types) == 1 else types,
        **({"enum": node["enum"]} if "enum" in node else {}),
        **({"items": items} if items else {}),
        **({"allOf": [limits]} if limits else {}),
    }


def _description(node: Schema, schema: Schema) -> str:
    """Help and range in words, since the form shows no limits."""
    help_text = str(node.get("description", ""))
    allowed = "" if "enum" in schema else f"Allowed: {in_words(node, {})}."
    return f"{help_text} {allowed}".strip()


def _leaves(node: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every key below a section that is no section itself."""
    for key, part in node["properties"].items():
        if "properties" in part:
            yield from _leaves(part, (*path, key))
        else:
            yield (*path, key), part


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


def fields(content: Any) -> list[Field]:
    """Every key of the parameters' schema as a field, in sections named after the stages.

    Args:
        content: the content of a valid params.yaml: the defaults.
    """
    root = Params.model_json_schema(by_alias=True)
    inlined = _inlined(root, root.get("$defs", {}))
    found = []
    for path, node in _leaves(inlined, ()):
        schema = _schema(node)
        found.append(Field(".".join(path), path[0], _at(content, path), _description(node, schema), schema))
    return found


def changes(submitted: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What a submitted form changes: parameters by their path.

    A browser submits every field, of which those count that differ from the form as it opened; who submits only some
    means each of them.

    Args:
        submitted: the fields by name.
        defaults: what the same fields held when the form opened.
    """
    whole_form = set(defaults) <= set(submitted)
    return {
        name: submitted[name]
        for name, default in defaults.items()
        if name in submitted and not (whole_form and submitted[name] == default)
    }
