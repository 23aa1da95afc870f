"""First loads: everything there is of one object, faster than page by page."""
