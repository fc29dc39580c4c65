"""Origins of a tenant's pages."""
