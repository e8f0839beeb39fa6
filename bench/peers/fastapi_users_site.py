"""fastapi-users with its database strategy on SQLite (WAL, synchronous=FULL). Stubbed: the password hash."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import AccessTokenDatabase, DatabaseStrategy
from fastapi_users.password import PasswordHelperProtocol
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


class PlainPasswords(PasswordHelperProtocol):
    def verify_and_update(self, plain_password: str, hashed_password: str) -> tuple[bool, str | None]:
        return plain_password == hashed_password, None

    def hash(self, password: str) -> str:
        return password

    def generate(self) -> str:
        return uuid.uuid4().hex


engine = create_async_engine("sqlite+aiosqlite:///users.db")
new_session = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def durable(connection, _record):
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=20000"):
        connection.execute(f"PRAGMA {pragma}")


async def database() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


Database = Annotated[AsyncSession, Depends(database)]


async def users_of(session: Database) -> AsyncIterator[SQLAlchemyUserDatabase]:
    yield SQLAlchemyUserDatabase(session, User)


async def tokens_of(session: Database) -> AsyncIterator[AccessTokenDatabase]:
    yield SQLAlchemyAccessTokenDatabase(session, AccessToken)


class Manager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    pass


async def manager_of(users: Annotated[SQLAlchemyUserDatabase, Depends(users_of)]) -> AsyncIterator[Manager]:
    yield Manager(users, PlainPasswords())


def strategy_of(tokens: Annotated[AccessTokenDatabase, Depends(tokens_of)]) -> DatabaseStrategy:
    return DatabaseStrategy(tokens, lifetime_seconds=30 * 24 * 60 * 60)


backend = AuthenticationBackend("bearer", BearerTransport("login"), strategy_of)
fastapi_users = FastAPIUsers[User, uuid.UUID](manager_of, [backend])


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(fastapi_users.get_auth_router(backend))
app.include_router(fastapi_users.get_register_router(schemas.BaseUser[uuid.UUID], schemas.BaseUserCreate))


@app.get("/session")
async def show(user: Annotated[User, Depends(fastapi_users.current_user(active=True))]) -> dict[str, str]:
    return {"subject": str(user.id)}
