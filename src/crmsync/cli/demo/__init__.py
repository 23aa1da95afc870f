"""The demo: a whole two-way sync against the emulator, with made-up people."""
