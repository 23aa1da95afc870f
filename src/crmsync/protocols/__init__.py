"""The contracts that providers, record stores, bookkeeping and observers fill. Nothing here is an implementation."""
