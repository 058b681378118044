"""The base class of every table of the configuration, and the meanings of its keys."""

import ast
import inspect
import sys
from functools import cache

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict


class Section(BaseModel):
    """A frozen table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    @classmethod
    def key_names(cls) -> list[str]:
        """Return its keys, its own before the inherited ones."""
        own = [name for name in cls.__annotations__ if name in cls.model_fields]
        return [*own, *(name for name in cls.model_fields if name not in own)]


def exactly_one(*names: str) -> JsonDict:
    """Return the JSON Schema rule that exactly one of these keys is given."""
    return {"oneOf": [{"required": [name]} for name in names]}


def meanings(section: type[Section]) -> dict[str, str]:
    """Return what each key means: the text below its field, in the class or a base class.

    The source is read only when this is called: pydantic's `use_attribute_docstrings` reads it whenever a section is
    imported, which would make every command a tenth of a second slower.
    """
    texts: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        if issubclass(kind, Section):
            texts |= _texts(kind.__module__).get(kind.__name__, {})
    return texts


@cache
def _texts(module: str) -> dict[str, dict[str, str]]:
    """Return the texts below the fields of each class of a module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: _below(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _below(node: ast.ClassDef) -> dict[str, str]:
    found = {}
    for field, text in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    found[field.target.id] = " ".join(words.split())
    return found
