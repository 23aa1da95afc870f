"""The facade. Each group of its verbs is a module; `CRMSync` is all of them."""

from crmsync.service.facade import CRMSync

__all__ = ["CRMSync"]
