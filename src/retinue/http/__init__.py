"""The edge: problems, schemas, pagination, middleware, server-sent events."""
