"""Bulk API 2.0: ingest and query jobs that advance by the org's clock, whenever somebody looks at the org."""
