"""The values that users hold and sides exchange; each module is one subject. Nothing here does any I/O."""
