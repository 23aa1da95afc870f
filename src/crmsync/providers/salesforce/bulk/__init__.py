"""Bulk API 2.0: jobs that take and give records as CSV."""
