"""The Salesforce CLI (``sf`` v2) as a way to an org."""
