"""The CRMs. Each sub-package is one provider, found by its entry point; none imports another."""
