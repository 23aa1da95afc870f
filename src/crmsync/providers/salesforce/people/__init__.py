"""Contacts and leads as one object, ``Person``."""
