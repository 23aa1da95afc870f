"""The emulated REST resources, one module a family; each has a ``ROUTES`` table of sans-I/O handlers."""
