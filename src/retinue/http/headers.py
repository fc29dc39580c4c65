"""Headers of every answer, whoever makes it: the application, the server below it, or the metrics' port.

`Strict-Transport-Security` is not among them: Retinue itself speaks plain HTTP, and only the proxy that ends TLS knows
whether a host may promise it.
"""

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NO_STORE = (b"cache-control", b"no-store")
