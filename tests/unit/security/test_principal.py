"""Roles as sets of scopes, and what a principal may see."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from retinue.domain.access import EVERYTHING, SCOPES_OF, USER_SCOPES, WHOLE, Role, Scope, Sight
from retinue.domain.errors import Forbidden, InvalidRequest, NotFound
from retinue.domain.ids import new_id
from retinue.security.bounds import narrowed, require_within
from retinue.security.principal import ANONYMOUS, OPERATOR, Principal
from tests.contract.repositories.builders import a_conversation, a_tenant, an_employee

CONVERSATION = a_conversation(an_employee(a_tenant()))


def user(**sight: Any) -> Principal:
    return Principal(
        kind="user", tenant_id=CONVERSATION.tenant_id, scopes=USER_SCOPES, sight=Sight(**sight), user_id="user-1"
    )


def test_the_operator_has_every_scope_and_alone_operates() -> None:
    assert OPERATOR.scopes == ANONYMOUS.scopes == EVERYTHING == frozenset(Scope)
    assert all(Scope.OPERATE not in scopes for scopes in (*SCOPES_OF.values(), USER_SCOPES))


def test_roles_and_tokens_are_sets_within_each_other() -> None:
    assert SCOPES_OF[Role.VIEWER] < SCOPES_OF[Role.MEMBER] < SCOPES_OF[Role.ADMIN] < EVERYTHING
    assert SCOPES_OF[Role.MEMBER] > USER_SCOPES
    assert SCOPES_OF.keys() == set(Role)


def test_viewers_change_nothing() -> None:
    assert all(scope.endswith(":read") for scope in SCOPES_OF[Role.VIEWER])


@pytest.mark.parametrize("scope", [Scope.KEYS_READ, Scope.CONFIG_READ, Scope.AUDIT_READ])
def test_what_leads_to_secrets_and_deeds_is_for_admins(scope: Scope) -> None:
    assert scope in SCOPES_OF[Role.ADMIN]
    assert scope not in SCOPES_OF[Role.MEMBER]


def test_a_scope_that_is_missing_is_named() -> None:
    principal = Principal(kind="key", scopes=SCOPES_OF[Role.VIEWER], tenant_id=new_id())
    principal.require(Scope.TENANT_READ)
    with pytest.raises(Forbidden) as caught:
        principal.require(Scope.KEYS_WRITE)
    assert caught.value.problem_code == "insufficient_scope"
    challenge = 'Bearer realm="retinue", error="insufficient_scope", scope="keys:write"'
    assert caught.value.headers["www-authenticate"] == challenge


def test_a_body_may_name_the_tenant_of_the_credentials_and_no_other() -> None:
    principal = user()
    assert principal.tenant_named(UNSET) == principal.tenant_named(CONVERSATION.tenant_id) == CONVERSATION.tenant_id
    with pytest.raises(NotFound):
        principal.tenant_named(new_id())
    for of_all in (OPERATOR, ANONYMOUS):
        wanted = new_id()
        assert of_all.tenant_named(wanted) == wanted
        with pytest.raises(InvalidRequest) as caught:
            of_all.tenant_named(UNSET)
        assert [error.pointer for error in caught.value.errors] == ["/tenant_id"]


@pytest.mark.parametrize(
    ("sight", "sees"),
    [
        ({}, True),
        ({"user_id": "user-1"}, True),
        ({"user_id": "user-2"}, False),
        ({"user_id": "USER-1"}, False),
        ({"user_id": "user-1", "employee_id": CONVERSATION.employee_id}, True),
        ({"user_id": "user-1", "employee_id": new_id()}, False),
        ({"user_id": "user-1", "conversation_id": CONVERSATION.id}, True),
        ({"user_id": "user-1", "conversation_id": new_id()}, False),
        ({"user_id": "user-2", "conversation_id": CONVERSATION.id}, False),
    ],
)
def test_a_token_sees_what_it_is_bound_to(sight: dict[str, Any], sees: bool) -> None:
    assert user(**sight).sees(CONVERSATION) is sees
    assert user(**sight).is_restricted is bool(sight)


def test_nobody_else_is_restricted() -> None:
    assert WHOLE.is_whole
    assert not OPERATOR.is_restricted
    assert OPERATOR.sees(CONVERSATION)


def test_a_token_begins_only_what_it_would_see() -> None:
    begun = {"user_id": "user-1", "employee_id": CONVERSATION.employee_id}
    require_within(OPERATOR, user_id="u", employee_id=new_id())
    require_within(user(user_id="user-1"), **begun)  # type: ignore[arg-type]
    require_within(user(**begun), **begun)  # type: ignore[arg-type]
    for sight in ({"user_id": "user-2"}, {"user_id": "user-1", "conversation_id": CONVERSATION.id}):
        with pytest.raises(Forbidden) as caught:
            require_within(user(**sight), **begun)  # type: ignore[arg-type]
        assert caught.value.problem_code == "outside_of_token"
    with pytest.raises(NotFound):
        require_within(user(user_id="user-1", employee_id=new_id()), **begun)  # type: ignore[arg-type]


def test_a_filter_stays_within_the_token() -> None:
    assert narrowed(None, None) is None
    assert narrowed(None, "a") == narrowed("a", None) == narrowed("a", "a") == "a"
    with pytest.raises(Forbidden):
        narrowed("a", "b")


def test_a_principal_is_named_by_what_it_has() -> None:
    key_id = new_id()
    key = Principal(kind="key", scopes=frozenset(), tenant_id=new_id(), key_id=key_id)
    assert key.name == f"key:{key_id}"
    assert msgspec.structs.replace(key, kind="user", user_id="u-1").name == "user:u-1"
