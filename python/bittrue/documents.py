"""Files that users write: YAML with a `schema` tag, validated by a model that refuses unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from bittrue.errors import DataError, UsageError

Document = TypeVar("Document", bound=BaseModel)


def read_document(path: Path, schema: str, model: type[Document], kind: str) -> Document:
    """The validated content of a file. schema: its tag; kind: what it is, for messages.

    Raises DataError for unreadable files, UsageError, naming the key, for other content.
    """
    try:
        content = yaml.load(path.read_text(), _UniqueKeys)
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: cannot be read ({type(e).__name__})") from e
    except yaml.YAMLError as e:
        raise UsageError(f"{path}: not YAML ({' '.join(str(e).split())})") from e
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise UsageError(f"{path}: not a {kind}: the key 'schema' must be '{schema}'")
    try:
        return model.model_validate(content)
    except ValidationError as e:
        raise UsageError(f"{path}: {first_error(e)}") from e


def first_error(error: ValidationError) -> str:
    """`key.key: message` of the first thing that is wrong."""
    first: Any = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: a second rule must not replace the first unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key, _ in node.value:
            text = key.value if isinstance(key, yaml.ScalarNode) else None
            if text is not None and text in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{text}' stands twice", key.start_mark)
            seen.add(text)
        mapping: dict[object, object] = super().construct_mapping(node, deep)
        return mapping
