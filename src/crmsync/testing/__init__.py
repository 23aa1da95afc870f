"""For implementers: contract suites to subclass, a memory provider, fault injection, a Salesforce emulator."""
