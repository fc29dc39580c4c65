"""Row level security on PostgreSQL: three roles, and what each of them may do and see.

The owner of the tables migrates. The application's role serves requests and runs, and sees the rows of one tenant in
each transaction. The role for jobs sees all tenants; it answers what only the operator may ask, and does housekeeping.
"""

from retinue.db.row_security.applying import apply
from retinue.db.row_security.roles import Roles, RolesUnusable, create_missing

__all__ = ["Roles", "RolesUnusable", "apply", "create_missing"]
