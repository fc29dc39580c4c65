"""Every error that Retinue tells anybody about.

RetinueError
├── ProviderError
│   ├── ProviderTimeout           504 provider_timeout
│   ├── ProviderReset             502 provider_reset
│   ├── ProviderTruncated         502 provider_truncated
│   ├── ProviderProtocol          502 provider_protocol
│   ├── ProviderOverloaded        503 provider_overloaded
│   ├── ProviderRateLimited       429 provider_rate_limited
│   ├── ProviderAuth              502 provider_auth
│   └── ProviderRefused           502 provider_refused
├── RequestError
│   ├── BadRequest                400 bad_request
│   ├── InvalidRequest            422 validation_failed
│   │   └── EgressRefused         422 egress_refused
│   ├── MalformedBody             400 malformed_body
│   ├── Unauthenticated           401 unauthenticated
│   ├── BudgetExceeded            402 budget_exceeded
│   ├── Forbidden                 403 forbidden
│   │   ├── ForeignHost           403 foreign_host
│   │   └── ForeignOrigin         403 foreign_origin
│   ├── NotFound                  404 not_found
│   ├── MethodNotAllowed          405 method_not_allowed
│   ├── RequestTimeout            408 request_timeout
│   ├── Conflict                  409 conflict
│   ├── BodyTooLarge              413 body_too_large
│   ├── TargetTooLong             414 target_too_long
│   ├── UnsupportedMediaType      415 unsupported_media_type
│   ├── RateLimited               429 rate_limited
│   ├── HeadersTooLarge           431 headers_too_large
│   ├── CodingNotSupported        501 coding_not_supported
│   ├── Unavailable               503 unavailable
│   └── VersionNotSupported       505 version_not_supported
├── RunError
│   ├── ProcessLost               500 process_lost
│   ├── RunTimeout                504 run_timeout
│   ├── TokensUsedUp              429 token_rate_limited
│   ├── StepLimitReached          500 step_limit_reached
│   ├── AnswerTooLong             500 answer_too_long
│   ├── StorageFailed             500 storage_failed
│   ├── StreamBroken              500 stream_broken
│   │   ├── StreamMoved           503 stream_moved
│   │   └── AccessEnded           401 access_ended
│   ├── SecretUnreadable          500 secret_unreadable
│   │   └── UnknownMasterKey      500 unknown_master_key
│   └── InternalError             500 internal_error
├── FailedAnswer                  as the run failed
└── ToolError                     tool_failed, told to the model
    └── PasswordRefused           wrong_password

`detail` is written for the person who reads the answer. It never carries upstream text, a stack trace, a secret or an
internal address.
"""

from retinue.domain.errors.base import (
    FieldError,
    RetinueError,
)
from retinue.domain.errors.providers import (
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRefused,
    ProviderReset,
    ProviderTimeout,
    ProviderTruncated,
)
from retinue.domain.errors.requests import (
    BadRequest,
    BodyTooLarge,
    BudgetExceeded,
    CodingNotSupported,
    Conflict,
    EgressRefused,
    Forbidden,
    ForeignHost,
    ForeignOrigin,
    HeadersTooLarge,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RequestError,
    RequestTimeout,
    TargetTooLong,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    VersionNotSupported,
)
from retinue.domain.errors.runs import (
    AccessEnded,
    AnswerTooLong,
    FailedAnswer,
    InternalError,
    ProcessLost,
    RunError,
    RunTimeout,
    SecretUnreadable,
    StepLimitReached,
    StorageFailed,
    StreamBroken,
    StreamMoved,
    TokensUsedUp,
    UnknownMasterKey,
)
from retinue.domain.errors.tools import (
    PasswordRefused,
    ToolError,
)

__all__ = [
    "AccessEnded",
    "AnswerTooLong",
    "BadRequest",
    "BodyTooLarge",
    "BudgetExceeded",
    "CodingNotSupported",
    "Conflict",
    "EgressRefused",
    "FailedAnswer",
    "FieldError",
    "Forbidden",
    "ForeignHost",
    "ForeignOrigin",
    "HeadersTooLarge",
    "InternalError",
    "InvalidRequest",
    "MalformedBody",
    "MethodNotAllowed",
    "NotFound",
    "PasswordRefused",
    "ProcessLost",
    "ProviderAuth",
    "ProviderError",
    "ProviderOverloaded",
    "ProviderProtocol",
    "ProviderRateLimited",
    "ProviderRefused",
    "ProviderReset",
    "ProviderTimeout",
    "ProviderTruncated",
    "RateLimited",
    "RequestError",
    "RequestTimeout",
    "RetinueError",
    "RunError",
    "RunTimeout",
    "SecretUnreadable",
    "StepLimitReached",
    "StorageFailed",
    "StreamBroken",
    "StreamMoved",
    "TargetTooLong",
    "TokensUsedUp",
    "ToolError",
    "Unauthenticated",
    "Unavailable",
    "UnknownMasterKey",
    "UnsupportedMediaType",
    "VersionNotSupported",
]
