"""A CRM that is one JSON file, as a provider of crmsync."""

from __future__ import annotations

from crmsync_jsonfile.provider import JsonFileProvider, JsonFileProviderFactory
from crmsync_jsonfile.store import JsonFileStore

__all__ = ["JsonFileProvider", "JsonFileProviderFactory", "JsonFileStore"]
