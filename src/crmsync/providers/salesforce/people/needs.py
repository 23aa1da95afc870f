"""What the org lacks, or hides from this user, for its people to be synced."""

from __future__ import annotations

from typing import Final

from crmsync.providers.salesforce.schema import OPT_OUT, SObject

_WRITTEN: Final = ("Email", "FirstName", "LastName", "Phone")


def shortcomings(sobject: SObject, key_field: str) -> list[str]:
    """For whoever connects an org: what works less well for people of this object than it could, and what to do."""
    name = sobject.schema.name
    warnings = []
    if not sobject.external_key(key_field):
        warnings.append(
            f"{name} has no external id field {key_field} that this user may write: {name.lower()}s are looked up by"
            f" e-mail before each create. Add it (Text 64, External ID, Unique) and give the user access"
        )
    opt_out = sobject.fields.get(OPT_OUT)
    if opt_out is None:
        warnings.append(
            f"{name}.{OPT_OUT} is hidden by field-level security: opt-outs of {name.lower()}s do not sync. Give"
            f" the user Read and Edit Access to the field (Email Opt Out)"
        )
    elif not opt_out.updateable:
        warnings.append(
            f"{name}.{OPT_OUT} cannot be written: opt-outs of MarkMail do not reach Salesforce. Give the user Edit"
            f" Access to the field (Email Opt Out)"
        )
    warnings += [
        f"{name}.{field} cannot be written by this user"
        for field in _WRITTEN
        if (known := sobject.fields.get(field)) is None or not known.updateable
    ]
    return warnings
