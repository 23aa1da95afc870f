"""A secret that nothing shows."""

from __future__ import annotations

from typing import Any, NoReturn, Self

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import core_schema


class Secret(SecretStr):
    """A `pydantic.SecretStr` that is not pickled either.

    ``repr``, ``str``, formats and JSON show asterisks; pickling, and with it whatever sends objects to other processes
    or stores them, is refused. A copy is the secret itself. `get_secret_value` is the only way to the text.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """As the base class, and takes one of the base class."""
        return core_schema.no_info_before_validator_function(
            lambda value: cls(value.get_secret_value()) if type(value) is SecretStr else value,
            super().__get_pydantic_core_schema__(source, handler),
        )

    def __eq__(self, other: object) -> bool:
        # Also of the base class, whichever stands first.
        return isinstance(other, SecretStr) and self.get_secret_value() == other.get_secret_value()

    __hash__ = SecretStr.__hash__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object] | None = None) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling("a secret")

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def refuse_pickling(what: str) -> NoReturn:
    """:raises TypeError: always; for ``__reduce__`` of what holds secrets."""
    msg = f"{what} is not pickled; open it again where it is needed"
    raise TypeError(msg)
