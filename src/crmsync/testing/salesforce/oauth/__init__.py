"""Sign-in: the org's apps and what it has granted them, the OAuth 2.0 endpoints over that, and SOAP ``login()``."""
