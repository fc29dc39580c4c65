"""Whether a tenant's numbers fit the server's limits."""

from retinue.domain.errors import FieldError, InvalidRequest
from retinue.domain.policy import RunLimits
from retinue.domain.tenants import TenantConfig


def check_model_settings(config: TenantConfig, limits: RunLimits) -> None:
    """Raises: InvalidRequest: an answer longer than the server allows, or a window without room for a question."""
    answer = config.max_output_tokens
    check_output_tokens("/max_output_tokens", answer, limits)
    if answer is not None and answer >= (config.context_tokens or limits.context_tokens):
        raise refusal("/max_output_tokens", "An answer must be shorter than the model's window.")


def check_output_tokens(pointer: str, wanted: int | None, limits: RunLimits) -> None:
    """Raises: InvalidRequest: an answer may not be that long on this server."""
    if wanted is not None and wanted > limits.max_output_tokens:
        raise refusal(pointer, f"An answer may have {limits.max_output_tokens} tokens on this server.")


def refusal(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, errors=(FieldError(pointer=pointer, detail=detail),))
