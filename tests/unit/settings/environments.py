"""Parts of environments that a server may start with."""

import base64

OPERATOR_KEY = "operator-key-of-the-test"
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
POSTGRESQL = {
    "RETINUE_DATABASE_URL": "postgresql+asyncpg://app:p@h/d",
    "RETINUE_DATABASE_JOBS_URL": "postgresql+asyncpg://jobs:q@h/d",
}
OWNER = {"RETINUE_DATABASE_OWNER_URL": "postgresql+asyncpg://owner:r@h/d"}
REDIS = {"RETINUE_COORDINATION_URL": "redis://r:6379/0"}
CLOSED = {"RETINUE_OPERATOR_KEY": OPERATOR_KEY, "RETINUE_MASTER_KEYS": f"k1:{MASTER_KEY}"}
