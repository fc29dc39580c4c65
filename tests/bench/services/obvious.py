"""The obvious service: what a good afternoon with FastAPI, the vendor's SDK and an ORM comes to.

`python -m tests.bench.services.obvious UPSTREAM_PORT DATABASE_URL PORT`. It streams each delta as an event and
stores question and answer at the end. It has no tenants, no limits, no resumption, no runs.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4  # noqa: TID251 - as most would

import uvicorn
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sse_starlette import EventSourceResponse

UPSTREAM, DATABASE, PORT = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
engine = create_async_engine(DATABASE, pool_size=20)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Message(Base):
    __tablename__ = "obvious_messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation: Mapped[str] = mapped_column(index=True)
    role: Mapped[str]
    content: Mapped[str]


class Body(BaseModel):
    content: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/conversations/{conversation}/messages/stream")
async def stream(conversation: str, body: Body) -> EventSourceResponse:
    async with sessions() as session:
        found = await session.scalars(
            select(Message).where(Message.conversation == conversation).order_by(Message.id.desc()).limit(200)
        )
        messages: list[Any] = [{"role": one.role, "content": one.content} for one in reversed(found.all())]
    messages.append({"role": "user", "content": body.content})

    async def events() -> AsyncIterator[dict[str, str]]:
        answer = ""
        # Each tenant has a key of its own, hence the client of its own.
        async with AsyncOpenAI(api_key="key", base_url=f"http://127.0.0.1:{UPSTREAM}/v1") as client:
            async for chunk in await client.chat.completions.create(model="bench", messages=messages, stream=True):
                if chunk.choices and (delta := chunk.choices[0].delta.content):
                    answer += delta
                    yield {"event": "token", "id": uuid4().hex, "data": delta}
        async with sessions() as session:
            session.add(Message(conversation=conversation, role="user", content=body.content))
            session.add(Message(conversation=conversation, role="assistant", content=answer))
            await session.commit()
        yield {"event": "end", "data": "[DONE]"}

    return EventSourceResponse(events())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
