"""Why parameters are refused, in sentences: where, what is wrong, what is allowed."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Schema = Mapping[str, Any]


def _resolved(node: Any, definitions: Schema) -> Schema:
    """A schema with its reference followed."""
    if not isinstance(node, Mapping):
        return {}
    return definitions[node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


def _schema_at(model: type[BaseModel], path: tuple[Any, ...]) -> tuple[Schema, Schema]:
    """The JSON schema of what may stand at a path, empty where there is none, and the definitions it refers to."""
    root = model.model_json_schema()
    definitions = root.get("$defs", {})
    node: Any = root
    for part in path:
        node = _resolved(node, definitions)
        if part in node.get("properties", {}):
            node = node["properties"][part]
        elif isinstance(part, int):
            places = node.get("prefixItems", [])
            node = places[part] if part < len(places) else node.get("items", {})
        else:
            node = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties", {}))
    return _resolved(node, definitions), definitions


def _range(node: Schema) -> str:
    """The limits of a number in words."""
    signs = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    words = [f"{sign} {node[key]:,}" for key, sign in signs.items() if key in node]
    return " and ".join(words) + (f", a multiple of {node['multipleOf']}" if "multipleOf" in node else "")


def _keys_in_words(node: Schema, definitions: Schema) -> str:
    """What the keys of a mapping may be."""
    pattern = next(iter(node.get("patternProperties", {})), None)
    names = {"type": "string", "pattern": pattern} if pattern else node.get("propertyNames", {})
    return in_words(names, definitions)


def in_words(node: Schema, definitions: Schema) -> str:
    """What a JSON schema allows, such as `a whole number at least 1 and at most 10,000`."""
    node = _resolved(node, definitions)
    if "anyOf" in node:
        return " or ".join(in_words(choice, definitions) for choice in node["anyOf"])
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    if "properties" in node:
        return "a mapping with the keys " + ", ".join(node["properties"])
    kind = node.get("type")
    if kind in ("integer", "number"):
        return f"{'a whole number' if kind == 'integer' else 'a number'} {_range(node)}".strip()
    if kind == "array" and "prefixItems" in node:
        return "a list of " + " and ".join(in_words(place, definitions) for place in node["prefixItems"])
    if kind == "array":
        least = "a list with at least one of " if node.get("minItems") else "a list of "
        return least + in_words(node.get("items", {}), definitions)
    if kind == "string":
        return f"a text matching {node['pattern']}" if "pattern" in node else "a non-empty text"
    if kind == "object":
        return f"a mapping with at least {node['minProperties']} key" if "minProperties" in node else "a mapping"
    return {"boolean": "true or false", "null": "null"}[str(kind)]


def _hint(value: Any, node: Schema) -> str:
    """What YAML makes of a number such as 1e-3."""
    if node.get("type") != "number" or not isinstance(value, str):
        return ""
    try:
        return f"; YAML reads it as a text, write {float(value)!r}"
    except ValueError:
        return ""


def _sentence(model: type[BaseModel], fault: Mapping[str, Any]) -> str:
    """One fault of a validation."""
    kind, location = fault["type"], tuple(fault["loc"])
    about_key = location[-1:] == ("[key]",)
    path = location[:-1] if about_key else location
    where = ".".join(map(str, path))
    prefix = f"{where}: " if where else ""
    if kind == "value_error":
        return prefix + str(fault["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        parent, _ = _schema_at(model, path[:-1])
        return f"{prefix}unknown key; the keys are {', '.join(parent.get('properties', {}))}"
    if about_key:
        parent, definitions = _schema_at(model, path[:-1])
        return f"{prefix}unknown key; a key must be {_keys_in_words(parent, definitions)}"
    node, definitions = _schema_at(model, path)
    allowed = in_words(node, definitions)
    if kind == "missing":
        return f"{prefix}is missing; it must be {allowed}"
    value = json.dumps(fault["input"], ensure_ascii=False, default=str)
    shown = value if len(value) <= 60 else value[:57] + "..."
    return f"{prefix}{shown} is not allowed; it must be {allowed}{_hint(fault['input'], node)}"


def explain(model: type[BaseModel], error: ValidationError, source: str) -> str:
    """Every fault that a validation found, a line each: the source, the key's path, what is wrong, what is allowed."""
    return "\n".join(f"{source}: {_sentence(model, fault)}" for fault in error.errors())
