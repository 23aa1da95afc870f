"""What single objects need besides a record store: parents' fields, accounts, people, campaigns, activity."""
