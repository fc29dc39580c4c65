"""What the ledger adds up to, as far as that was reckoned in advance."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Word
from retinue.domain.spending import Grouping


class UsageSum(Owned, Base, kw_only=True):
    """What the summed calls of one group come to that were begun in one span of time; see `domain.spans`."""

    __tablename__ = "usage_sums"
    __table_args__ = (owner(),)

    grouping: Mapped[Grouping] = mapped_column(Word(Grouping), primary_key=True)
    span: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(primary_key=True)
    """As in `UsageRow`, but ids are without hyphens."""
    calls: Mapped[int] = mapped_column(sa.BigInteger)
    runs: Mapped[int] = mapped_column(sa.BigInteger)
    """Those whose first call of this group was begun in this span: so each counts once, however far its calls lie
    apart."""
    input_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    cached_input_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    cache_write_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    reasoning_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    cost_micros: Mapped[int | None] = mapped_column(sa.BigInteger)
    unknown_cost_calls: Mapped[int] = mapped_column(sa.BigInteger)
    estimated_calls: Mapped[int] = mapped_column(sa.BigInteger)


class UsageReturn(Owned, Base, kw_only=True):
    """How many runs had calls of one group in one slot of time and next in another one. In a range that begins between
    the two these runs count, and no sum says so.
    """

    __tablename__ = "usage_returns"
    __table_args__ = (owner(),)

    grouping: Mapped[Grouping] = mapped_column(Word(Grouping), primary_key=True)
    reach: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The two slots lie less far apart than this. One of a few numbers: so those on both sides of a moment are
    found by an index."""
    slot: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """That of the return."""
    left_slot: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int] = mapped_column(sa.BigInteger)
