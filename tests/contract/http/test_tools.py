"""The tools that employees can be given."""

from tests.contract.http.api import Client


async def test_tools_are_listed_with_all_that_is_known_of_them(lone_client: Client) -> None:
    assert await lone_client.call("GET", "/tools", 200) == [
        {
            "name": "lookup",
            "description": "Looks an order up.",
            "parameters": {
                "type": "object",
                "properties": {"number": {"type": "string", "description": "The order's number."}},
                "required": ["number"],
                "additionalProperties": False,
            },
            "effect": "read",
            "risk": "low",
            "touches": "orders",
            "version": "3",
        }
    ]


async def test_an_employee_can_have_those_and_no_others(lone_client: Client) -> None:
    tenant = await lone_client.tenant()
    assert (await lone_client.employee(tenant, tools=["lookup"]))["tools"] == ["lookup"]
    body = {"tenant_id": tenant, "name": "Eve", "role": "x", "system_prompt": "x", "tools": ["lookup", "rm"]}
    problem = await lone_client.problem("POST", "/employees", 422, "unknown_tool", json=body)
    assert [error["pointer"] for error in problem["errors"]] == ["/tools/1"]
