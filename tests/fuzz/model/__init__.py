"""A model of what tenants, keys, conversations, runs, approvals and money should do, for random lives."""
