"""What the sections share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

SECONDS_OF_A_YEAR = 31_536_000

Seconds = Annotated[FiniteFloat, Field(gt=0)]
Hours = Annotated[FiniteFloat, Field(gt=0)]
UpToAYear = Annotated[FiniteFloat, Field(ge=0, le=SECONDS_OF_A_YEAR)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
