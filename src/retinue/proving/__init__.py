"""The isolation prover: whether tenants, and users within a tenant, exist for each other. Talks HTTP only."""

from retinue.proving.exchange import ProvingFailed
from retinue.proving.prover import prove
from retinue.proving.report import Report

__all__ = ["ProvingFailed", "Report", "prove"]
