"""Field mappings: what corresponds to what, in which direction, and who wins."""

from __future__ import annotations

import datetime as dt
import enum
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AliasChoices, BeforeValidator, Field

from crmsync.models.records import Side
from crmsync.models.schema import FieldType, PublicModel, Unit


class SyncDirection(enum.StrEnum):
    """Which way values of a field flow."""

    TO_CRM = "to_crm"
    FROM_CRM = "from_crm"
    BIDIRECTIONAL = "bidirectional"


class ConflictPolicy(enum.StrEnum):
    """What to do when both sides changed a field to different values since the last sync."""

    LOCAL_WINS = "local_wins"
    REMOTE_WINS = "remote_wins"
    NEWEST_WINS = "newest_wins"
    PREFER_NONBLANK = "prefer_nonblank"
    SET_MERGE = "set_merge"
    MAX = "max"
    MIN = "min"
    MOST_RESTRICTIVE = "most_restrictive"
    MANUAL = "manual"
    CUSTOM = "custom"


class Enforcement(enum.StrEnum):
    """How hard one direction of a field mapping pushes."""

    OFF = "off"
    """Never write the target."""
    PROPAGATE = "propagate"
    """Write when the source changed."""
    MIRROR = "mirror"
    """Also undo drift on the target."""
    FILL_BLANK = "fill_blank"
    """Write only where the target is blank."""
    CREATE_ONLY = "create_only"
    """Write only when the target record is created."""


class OnLoss(enum.StrEnum):
    """What to do with a value that does not fit the other side unchanged. Nothing is ever cut silently."""

    REJECT_FIELD = "reject_field"
    REJECT_RECORD = "reject_record"
    REPORT = "report"
    ACCEPT = "accept"


class UnknownOption(enum.StrEnum):
    """What to do with a value that is none of the options that the target field lists."""

    ACCEPT = "accept"
    """Write it where the field takes other values than those listed; where its options are all it takes, refuse it."""
    REJECT = "reject"
    """Refuse it also where the field would take it."""
    FALLBACK = "fallback"
    """Write ``fallback_option`` in its place, and report it."""


class OnBlank(enum.StrEnum):
    """What a blank does to the value of the other side. Where the other side is blank, too, it does nothing."""

    CLEAR = "clear"
    """It is cleared."""
    KEEP = "keep"
    """It stays; the two differ from then on, until one of them is changed again."""
    DEFAULT = "default"
    """The field mapping's default is written."""


class DeletePolicy(enum.StrEnum):
    """What a delete on one side does to the linked record on the other."""

    IGNORE = "ignore"
    UNLINK = "unlink"
    ARCHIVE = "archive"
    PROPAGATE = "propagate"


SUBSCRIBERS: Final = "subscribers"
"""The local object of people."""

OSCILLATION: Final = "oscillation"
"""The policy of a conflict that was parked because two systems keep rewriting a field against each other."""


class FieldMapping(PublicModel):
    """One local field and the CRM field it corresponds to.

    ``policy`` None takes the mapping's default (``set_merge`` for set-valued fields). ``to_crm`` and ``from_crm``
    refine ``sync_direction``: None means ``propagate`` where the direction allows it and ``off`` where it does not.
    ``tie`` is the side that ``newest_wins`` prefers within the clocks' uncertainty, and that wins a first meeting of
    two different values under a policy that cannot tell. ``namespace`` is a prefix: only set elements that begin with
    it are ours to add or remove (under ``set_merge``; other policies write whole sets). ``value_map`` renames local
    values to CRM values, one to one. ``separator`` splits a set-valued text cell of the local side. ``crm_value_map``
    renames CRM values to local ones, where several CRM values mean one here; it goes before ``value_map``.
    ``unknown_option`` says what becomes of a value that a list of options lacks; ``case_fold`` takes values that differ
    in case for one, and spells them as the target's options do.

    ``region`` (``DE``) is where phone numbers without a country code are at home: numbers are then compared by E.164.
    ``zone`` (``Europe/Berlin``) is where times without a zone were read off a clock, and where a moment's date is
    taken; without it such a time is a loss. ``unit`` and ``crm_unit`` say what a number counts that stands for a
    percentage or a duration, on either side. ``currency`` (``EUR``) is the one that amounts are in: a text with another
    code is refused. ``references`` is the CRM's object that a reference leads to, if the local side holds the local
    id of the record there instead of the CRM's: the two are looked up in the links of that object.

    ``restrictive`` is the value that ``most_restrictive`` protects (True for an opt-out flag). ``default`` is written
    when the source is blank at creation, and later as ``on_blank`` says; ``never_clear`` turns an ``on_blank`` of
    ``clear`` into ``keep``.

    Values of a ``sensitive`` field are written to the other side and kept nowhere else: conflicts, the history and
    plans show that there is one, not which. ``normalise`` names the forms in which texts are compared, one after the
    other (`crmsync.mapping.TEXT_FORMS`, or functions given to `CRMSync`): values that are alike then are not written.
    """

    markmail_field: str = Field(min_length=1, max_length=255)
    crm_field: str = Field(min_length=1, max_length=255, validation_alias=AliasChoices("crm_field", "salesforce_field"))
    field_type: FieldType = FieldType.TEXT
    sync_direction: SyncDirection = SyncDirection.BIDIRECTIONAL
    policy: ConflictPolicy | None = None
    to_crm: Enforcement | None = None
    from_crm: Enforcement | None = None
    tie: Side = Side.REMOTE
    on_loss: OnLoss = OnLoss.REJECT_FIELD
    required: bool = False
    default: Any = None
    namespace: str = ""
    separator: str = ";"
    value_map: dict[str, str] = Field(default_factory=dict)
    crm_value_map: dict[str, str] = Field(default_factory=dict)
    unknown_option: UnknownOption = UnknownOption.ACCEPT
    fallback_option: str = ""
    case_fold: bool = False
    region: str = Field(default="", pattern=r"^([A-Z]{2})?$")
    zone: str = Field(default="", max_length=64)
    unit: Unit | None = None
    crm_unit: Unit | None = None
    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    references: str = Field(default="", max_length=255)
    restrictive: bool = True
    never_clear: bool = False
    on_blank: OnBlank = OnBlank.CLEAR
    sensitive: bool = False
    normalise: tuple[str, ...] = ()

    @property
    def blank(self) -> OnBlank:
        """What a blank does, all told."""
        return OnBlank.KEEP if self.never_clear and self.on_blank is OnBlank.CLEAR else self.on_blank


class ComputedField(PublicModel):
    """A field that one side does not have: its value is worked out of that side's own fields by an expression.

    Field mappings refer to it by ``name`` like to any other field of ``side``. ``field_type`` None takes the type of
    the expression. ``inverse`` says what a write of it changes: for each real field an expression over ``value`` (and
    the side's current fields). Empty: the inverse that is known for the expression, if there is one; without any, the
    field can only be read.
    """

    side: Side
    name: str = Field(min_length=1, max_length=255)
    expression: str = Field(min_length=1, max_length=4000)
    field_type: FieldType | None = None
    inverse: dict[str, str] = Field(default_factory=dict)


class OnInvalid(enum.StrEnum):
    """What becomes of a write that a validation rule refuses."""

    REJECT_FIELD = "reject_field"
    """The fields of the rule keep what they hold; the rest of the record goes on."""
    REJECT_RECORD = "reject_record"


def _bound(value: object) -> object:
    """A text that says a day or an instant as just that: left alone, midnight in any zone would be taken for a day."""
    if isinstance(value, str) and value[4:5] == "-":
        with suppress(ValueError):
            return dt.date.fromisoformat(value) if len(value) == len("YYYY-MM-DD") else dt.datetime.fromisoformat(value)
    return value


Bound: TypeAlias = Annotated[Decimal | dt.date | dt.datetime, BeforeValidator(_bound)]
"""The end of a range."""


class ValidationRule(PublicModel):
    """What the local side demands of a record before it is written there.

    ``field`` is a local field. ``pattern`` must be found in its text (RE2; of a set in each element), ``allowed`` lists
    the texts that it may have, lengths count characters (of a set elements), ``minimum`` and ``maximum`` are included
    (a date for an instant is its midnight in UTC). ``condition`` is an expression over the local fields that must not
    be false; without ``field`` it is about the fields that it names. A blank, and what is not shown, is for
    ``required`` alone to refuse. ``message`` takes the place of the reason in reports.
    """

    field: str = Field(default="", max_length=255)
    required: bool = False
    pattern: str = ""
    minimum: Bound | None = None
    maximum: Bound | None = None
    allowed: tuple[str, ...] = ()
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    condition: str = Field(default="", max_length=4000)
    message: str = Field(default="", max_length=500)
    on_failure: OnInvalid = OnInvalid.REJECT_FIELD


class MatchKeys(PublicModel):
    """How records that are not linked yet find each other: by external key, stored remote id, then exact e-mail.

    ``local_email`` and ``remote_email`` are field names; empty switches e-mail matching off. ``local_remote_id`` is a
    local field that stores the CRM's id, if there is one.
    """

    local_email: str = "email"
    remote_email: str = "Email"
    local_remote_id: str = ""


class ObjectMapping(PublicModel):
    """A local object and the CRM object it is synced with.

    The delete guard stops a run that would delete more than max(``delete_guard_count``, ``delete_guard_share`` of the
    links). The overwrite guard stops one that would replace or clear more non-blank values of a side than
    max(``overwrite_guard_count``, ``overwrite_guard_share`` of those that the linked records hold); where records meet
    for the first time, 20 values are enough to stop if they are more than half of those compared. A field that would be
    rewritten in the very same way ``oscillation_turns`` times in a row, because its side keeps going back, is parked.
    ``archive`` as a delete policy writes True to the ``..._archive_field`` of the surviving record.

    ``keep_values_days`` is how long both values of a settled conflict are kept; 0: they are not stored at all.
    ``history_days`` is how long it is kept what runs wrote, values before and after, for timelines and `CRMSync.undo`;
    0 keeps nothing. ``logs_days`` is how long runs stay in the log. Each run erases what is older.
    """

    local_object: str = SUBSCRIBERS
    fields: tuple[FieldMapping, ...]
    computed: tuple[ComputedField, ...] = ()
    validation: tuple[ValidationRule, ...] = ()
    match: MatchKeys = MatchKeys()
    policy: ConflictPolicy = ConflictPolicy.NEWEST_WINS
    create_in_crm: bool = True
    create_in_local: bool = True
    delete_in_crm: DeletePolicy = DeletePolicy.IGNORE
    delete_in_local: DeletePolicy = DeletePolicy.IGNORE
    local_archive_field: str = ""
    remote_archive_field: str = ""
    delete_guard_count: int = Field(default=50, ge=0)
    delete_guard_share: float = Field(default=0.01, ge=0, le=1)
    overwrite_guard_count: int = Field(default=100, ge=0)
    overwrite_guard_share: float = Field(default=0.25, ge=0, le=1)
    keep_values_days: int = Field(default=90, ge=0)
    history_days: int = Field(default=0, ge=0)
    logs_days: int = Field(default=365, ge=1)
    oscillation_turns: int = Field(default=3, ge=2)


def two_way(markmail_field: str, crm_field: str, **options: Any) -> FieldMapping:
    """Preset: changes flow both ways, the newest wins a conflict."""
    return FieldMapping(markmail_field=markmail_field, crm_field=crm_field, **options)


def prefer_crm_unless_blank(markmail_field: str, crm_field: str, **options: Any) -> FieldMapping:
    """Preset: both ways; in a conflict the CRM's value wins unless it is blank."""
    chosen = {"policy": ConflictPolicy.PREFER_NONBLANK, "tie": Side.REMOTE, **options}
    return FieldMapping(markmail_field=markmail_field, crm_field=crm_field, **chosen)


def always_use_crm(markmail_field: str, crm_field: str, **options: Any) -> FieldMapping:
    """Preset: the CRM's value is mirrored; local edits are undone."""
    chosen = {"sync_direction": SyncDirection.FROM_CRM, "from_crm": Enforcement.MIRROR, **options}
    return FieldMapping(markmail_field=markmail_field, crm_field=crm_field, **chosen)


def dont_sync(markmail_field: str, crm_field: str, **options: Any) -> FieldMapping:
    """Preset: the correspondence is recorded, nothing flows."""
    chosen = {"to_crm": Enforcement.OFF, "from_crm": Enforcement.OFF, **options}
    return FieldMapping(markmail_field=markmail_field, crm_field=crm_field, **chosen)
