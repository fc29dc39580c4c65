"""`/employees`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from retinue.domain.access import Scope
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict, InvalidRequest, NotFound
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page
from retinue.http.requests import EdgeRequest
from retinue.resources.employees.schemas import EmployeeCreate, EmployeeUpdate
from retinue.resources.employees.service import EmployeeService


class EmployeeController(Controller):
    path = "/employees"
    tags = ("employees",)
    employees: EmployeeService

    @post(
        problems={"slug_taken": Conflict, "unknown_tool": InvalidRequest, "not_found": NotFound},
        replays=True,
        scope=Scope.EMPLOYEES_WRITE,
    )
    async def create_employee(
        self, request: EdgeRequest, data: JSONBody[EmployeeCreate], idempotency_key: KeyHeader = None
    ) -> Response[Employee]:
        """Hire an employee."""
        key = key_of(request, idempotency_key, data)
        return answer_with(await self.employees.create(request.principal, data, key))

    @get(scope=Scope.EMPLOYEES_READ)
    async def list_employees(
        self,
        request: EdgeRequest,
        tenant_id: FromQuery[UUID | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response[list[Employee]]:
        """List a tenant's employees, oldest first.

        The operator has to name the tenant.
        """
        tenant = request.principal.tenant_for(tenant_id)
        return answer_page(request, await self.employees.list(tenant, limit=limit, cursor=cursor))

    @get("/{employee_id:uuid}", scope=Scope.EMPLOYEES_READ)
    async def read_employee(self, request: EdgeRequest, employee_id: FromPath[UUID]) -> Employee:
        """Read an employee."""
        return await self.employees.get(request.principal, employee_id)

    @patch(
        "/{employee_id:uuid}",
        problems={"slug_taken": Conflict, "unknown_tool": InvalidRequest},
        scope=Scope.EMPLOYEES_WRITE,
    )
    async def update_employee(
        self, request: EdgeRequest, employee_id: FromPath[UUID], data: JSONBody[EmployeeUpdate]
    ) -> Employee:
        """Change an employee. Runs that are active go on as they began."""
        return await self.employees.update(request.principal, employee_id, data)

    @delete("/{employee_id:uuid}", scope=Scope.EMPLOYEES_WRITE)
    async def delete_employee(self, request: EdgeRequest, employee_id: FromPath[UUID]) -> None:
        """Let an employee go.

        Its conversations stay readable and take no new messages; active runs finish.
        """
        await self.employees.delete(request.principal, employee_id)
