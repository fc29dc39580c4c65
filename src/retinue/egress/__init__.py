"""The one way out to addresses that a tenant, a document or a model can influence.

`check_url` judges a URL without touching the network, for the moment it is stored. `make_client` builds the HTTP client
whose every connection is judged again: one DNS resolution, every answer checked, connected to exactly the checked
address. `fetch` gets a text through such a client, over redirects that are judged one by one. Only
`EgressPolicy.allow`, which the operator writes, opens an internal address or another port.
"""

from retinue.egress.client import make_client
from retinue.egress.fetch import Fetched, fetch
from retinue.egress.http1 import Body
from retinue.egress.lookups import TooManyLookups
from retinue.egress.network import Resolver
from retinue.egress.policy import EgressPolicy, check_url, origin_of

__all__ = [
    "Body",
    "EgressPolicy",
    "Fetched",
    "Resolver",
    "TooManyLookups",
    "check_url",
    "fetch",
    "make_client",
    "origin_of",
]
