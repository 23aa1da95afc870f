"""Writing records: operations become rows, rows go through a channel, and every channel answers with outcomes."""

from crmsync.providers.salesforce.writing.writer import Writer

__all__ = ["Writer"]
