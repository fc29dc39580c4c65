"""The sections of the settings: one class per concern, the default and one sentence per field."""

from retinue.settings.sections.places import Coordination, Database, Egress
from retinue.settings.sections.provider import Provider
from retinue.settings.sections.rates import Rates
from retinue.settings.sections.runs import Limits, Runs, Sessions
from retinue.settings.sections.service import Log, Metrics, Readiness, Retention, Stream, Usage
from retinue.settings.sections.tools import Approvals, Tools, Workspace

__all__ = [
    "Approvals",
    "Coordination",
    "Database",
    "Egress",
    "Limits",
    "Log",
    "Metrics",
    "Provider",
    "Rates",
    "Readiness",
    "Retention",
    "Runs",
    "Sessions",
    "Stream",
    "Tools",
    "Usage",
    "Workspace",
]
