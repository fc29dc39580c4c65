"""The demo shop's tools. They work on the tenant's own orders."""
