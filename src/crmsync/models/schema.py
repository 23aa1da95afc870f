"""What a side says of its objects and fields."""

from __future__ import annotations

import enum

from pydantic import BaseModel, ConfigDict, Field


class FieldType(enum.StrEnum):
    """The kinds of value that a field can hold."""

    TEXT = "text"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"
    INTEGER = "integer"
    DECIMAL = "decimal"
    CURRENCY = "currency"
    PERCENT = "percent"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    PICKLIST = "picklist"
    MULTI_PICKLIST = "multi_picklist"
    TAGS = "tags"
    REFERENCE = "reference"
    ID = "id"
    JSON = "json"
    DURATION = "duration"
    ADDRESS = "address"
    NAME = "name"
    GEOLOCATION = "geolocation"
    ENCRYPTED = "encrypted"

    @property
    def compound(self) -> bool:
        """Whether values have named parts: a mapping of part names to their values."""
        return self in (FieldType.ADDRESS, FieldType.NAME, FieldType.GEOLOCATION)

    @property
    def set_valued(self) -> bool:
        """Whether values are sets of elements that merge one by one."""
        return self in (FieldType.MULTI_PICKLIST, FieldType.TAGS)


class Unit(enum.StrEnum):
    """What a number counts that stands for a percentage or a duration."""

    PERCENT = "percent"
    """50 means 50 %."""
    FRACTION = "fraction"
    """0.5 means 50 %."""
    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"

    @property
    def of_time(self) -> bool:
        """Whether it counts time."""
        return self not in (Unit.PERCENT, Unit.FRACTION)


class PublicModel(BaseModel):
    """What users hold: frozen, strict about names, and silent about values when it refuses one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class FieldSchema(PublicModel):
    """One field of an object, as its side describes it.

    ``length`` counts characters; ``precision`` is the total of digits and ``scale`` those after the point. ``required``
    means that a create must give it. ``readable`` False: hidden by permissions. ``separator`` joins the elements of a
    set-valued field on a side that stores one string (a CSV cell). ``unit`` is what a number in it counts, where its
    type leaves that open. ``controlled_by`` names the field on whose value it depends which options a page offers.
    ``parts`` are the fields that hold the parts of a compound, by the part's name: what they
    can hold bounds what the compound can.
    """

    name: str
    label: str = ""
    type: FieldType = FieldType.TEXT
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    required: bool = False
    nillable: bool = True
    readable: bool = True
    createable: bool = True
    updateable: bool = True
    unique: bool = False
    external_id: bool = False
    custom: bool = False
    options: tuple[str, ...] = ()
    restricted: bool = False
    controlled_by: str = ""
    reference_to: tuple[str, ...] = ()
    separator: str | None = None
    unit: Unit | None = None
    parts: dict[str, FieldSchema] = Field(default_factory=dict)

    def __hash__(self) -> int:
        # A dictionary of parts has no hash of its own.
        return hash((self.name, self.type, self.length, tuple(self.parts)))

    @property
    def reach(self) -> tuple[str, ...]:
        """The fields that are written where this one is: itself, and those that hold its parts."""
        return (self.name, *(part.name for part in self.parts.values()))

    @property
    def needed(self) -> bool:
        """Whether no record can be created without it. Ids and external keys are left out: the engine gives them."""
        return self.required and self.createable and self.type is not FieldType.ID and not self.external_id


class CustomField(FieldSchema):
    """A field that the CRM's administrator added."""

    custom: bool = True


class ObjectSchema(PublicModel):
    """One object of a side: its fields by name, and which of them carry identity.

    ``open`` True: the side takes fields that it does not list (a CSV file, a memory store).
    """

    name: str
    label: str = ""
    fields: tuple[FieldSchema, ...] = ()
    open: bool = False

    def field(self, name: str) -> FieldSchema | None:
        """The field of this exact name, or None."""
        return next((field for field in self.fields if field.name == name), None)
