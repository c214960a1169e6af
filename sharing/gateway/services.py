"""What the routes work with, made once at start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import Connection, OperationalError
from psycopg_pool import ConnectionPool, PoolTimeout
from starlette.requests import Request

from contracts.alerts import AlertCommand
from contracts.errors import Unavailable
from runtime.settings import DatabaseSettings
from sharing.fhir.cursor import CursorSeal
from sharing.gateway.apps import Directory
from sharing.gateway.settings import GatewaySettings
from sharing.gateway.throttle import RequestLimit
from sharing.oauth import TokenAuthority

MOST_CONNECTIONS = 8
CONNECTION_SECONDS = 3.0
RECONNECT_SECONDS = 5.0
STATEMENT_MILLISECONDS = 5000


class Commands(Protocol):
    """Takes a person's word about an alert to the rules."""

    async def publish(self, command: AlertCommand) -> None:
        """Send a command; returns once Kafka has it.

        Raises:
            Unavailable: Kafka does not take it just now.
        """


@dataclass(frozen=True)
class Services:
    """Everything a route needs.

    Attributes:
        settings: of the gateway.
        pool: connections as the gateway's role.
        tokens: signs and checks access tokens.
        seal: seals cursors.
        directory: turns pseudonyms back.
        commands: the way to the rules.
        queries: how often an app may ask.
        started_at: instant in microseconds.
    """

    settings: GatewaySettings
    pool: ConnectionPool[Connection[Any]]
    tokens: TokenAuthority
    seal: CursorSeal
    directory: Directory
    commands: Commands
    queries: RequestLimit
    started_at: int

    @property
    def fhir_base(self) -> str:
        """Address of the FHIR endpoint."""
        return f"{self.settings.public_url}/fhir"

    @property
    def token_address(self) -> str:
        """Address at which access tokens are given."""
        return f"{self.settings.public_url}/oauth/token"

    @contextmanager
    def database(self) -> Iterator[Connection[Any]]:
        """Borrow a connection in a transaction that is committed at the end.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            with self.pool.connection() as connection:
                yield connection
        except (PoolTimeout, OperationalError) as error:
            raise Unavailable("the database does not answer") from error


def of(request: Request) -> Services:
    """Give a request its services."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def request_id(request: Request) -> str:
    """Give a request's id."""
    return str(request.state.request_id)


def make_pool(settings: DatabaseSettings) -> ConnectionPool[Connection[Any]]:
    """Make the pool; nothing is connected yet.

    Statements are never prepared: a plan made for any span of time would visit every chunk.
    """
    return ConnectionPool(
        settings.conninfo(),
        kwargs={"options": f"-c statement_timeout={STATEMENT_MILLISECONDS}", "prepare_threshold": None},
        min_size=1,
        max_size=MOST_CONNECTIONS,
        timeout=CONNECTION_SECONDS,
        # The pool waits twice as long before each new attempt; given up early, the next request tries at once.
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
        check=ConnectionPool.check_connection,
    )
