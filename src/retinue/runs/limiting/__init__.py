"""How much tenants, their keys and their users may ask for."""
