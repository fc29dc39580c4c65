"""How controllers get what they work with."""

from typing import Any, TypeVar

from litestar import Controller

C = TypeVar("C", bound=Controller)


def bound(controller: type[C], **services: Any) -> type[C]:
    """The controller with its services as class attributes.

    Litestar makes controllers itself, without arguments; injecting a service into every call would cost each request
    a round of dependency resolution.
    """
    missing = [name for name in services if name not in controller.__annotations__]
    if missing:
        raise TypeError(f"{controller.__name__} does not declare {missing}")
    return type(controller.__name__, (controller,), {**services, "__doc__": controller.__doc__})
