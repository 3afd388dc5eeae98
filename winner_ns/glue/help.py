"""What `ns-train METHOD --help` shows of a config, and in which order."""

from __future__ import annotations

from typing import Annotated, Any, Callable, Mapping, Optional, Sequence, Type, TypeVar, get_type_hints

import tyro

Config = TypeVar("Config")


def shown_in_help(
    first: Sequence[str] = (),
    last: Sequence[str] = (),
    hidden: Sequence[str] = (),
    texts: Optional[Mapping[str, str]] = None,
) -> Callable[[Type[Config]], Type[Config]]:
    """Arranges the flags of a dataclass that inherits nerfstudio's, whose fields would otherwise come before its own.

    Args:
        first, last: fields that come before and after all others, in this order.
        hidden: fields that mean nothing for what is trained here, and are no flags.
        texts: what others are said to be for.
    """

    def arranged(config: Type[Config]) -> Type[Config]:
        owner: Any = config
        fields = owner.__dataclass_fields__
        rest = [name for name in fields if name not in (*first, *last)]
        # Both are what dataclasses and tyro read; the constructor is made already, and stays as it is.
        owner.__dataclass_fields__ = {name: fields[name] for name in (*first, *rest, *last)}
        hints = get_type_hints(config, include_extras=True)
        owner.__annotations__ = {
            **owner.__dict__.get("__annotations__", {}),
            **{name: tyro.conf.Suppress[hints[name]] for name in hidden},
            **{name: Annotated[hints[name], tyro.conf.arg(help=text)] for name, text in (texts or {}).items()},
        }
        return config

    return arranged
