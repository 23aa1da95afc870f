"""SOQL for the emulator: grammar, syntax tree, compilation to Python closures, evaluation over indexed tables."""
