"""``agora gateway``: reads its settings, puts the application together and serves it over TLS."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType

import stamina
import uvicorn
from fastapi import FastAPI

from contracts.errors import Misconfigured
from runtime import clock, telemetry
from runtime.settings import DatabaseSettings, KafkaSettings, ProcessSettings, load
from sharing.fhir.cursor import CursorSeal
from sharing.gateway import events
from sharing.gateway.application import make_application
from sharing.gateway.apps import Directory
from sharing.gateway.commands import KafkaCommands
from sharing.gateway.requests import RequestRoom
from sharing.gateway.services import Services, make_pool
from sharing.gateway.settings import GatewaySettings, webhook_key
from sharing.gateway.throttle import RequestLimit
from sharing.gateway.webhook import Webhook
from sharing.oauth import TokenAuthority
from sharing.pseudonyms import master_of
from sharing.settings import PseudonymSettings

MOST_REQUESTS_AT_ONCE = 200
DRAIN_SECONDS = 4
"""For requests that are being answered; a client that keeps its connection open without reading would hold us as long."""


def run() -> int:
    """Serve until told to stop.

    Returns:
        The process's exit code.

    Raises:
        Misconfigured: a setting is missing or wrong.
    """
    stamina.instrumentation.set_on_retry_hooks([])  # our own events tell of each attempt
    settings = load(GatewaySettings)
    kafka_settings = load(KafkaSettings)
    commands = KafkaCommands(kafka_settings)
    held = make_services(settings, load(DatabaseSettings), load(PseudonymSettings), commands)

    @asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        held.pool.open(wait=False)
        webhook = _start_webhook(settings, kafka_settings)
        events.GATEWAY_STARTED.emit(port=settings.port)
        yield
        if webhook is not None:
            webhook.cancel()
            with suppress(asyncio.CancelledError):
                await webhook
        await commands.close()
        held.pool.close()
        events.GATEWAY_STOPPED.emit()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_quietly)
    server = uvicorn.Server(_server_settings(settings, RequestRoom(make_application(held, lifespan))))
    with _listening(settings) as listener:
        # Whoever waits for our metrics may then send requests: they queue until the application is up.
        telemetry.start(load(ProcessSettings), "gateway")
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _listening(settings: GatewaySettings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), backlog=MOST_REQUESTS_AT_ONCE)
    except OSError as error:
        raise Misconfigured(f"AGORA_GATEWAY_PORT: port {settings.port} cannot be used: {error.strerror}") from None


def _end_quietly(_number: int, _frame: FrameType | None) -> None:
    """Take the signal that uvicorn raises again once it has stopped in good order, so that the exit code can be 0."""


def make_services(
    settings: GatewaySettings, database: DatabaseSettings, pseudonyms: PseudonymSettings, commands: KafkaCommands
) -> Services:
    """Make what the routes work with; nothing is connected yet.

    Raises:
        Misconfigured: a secret or a key cannot be used.
    """
    try:
        token_key = Path(settings.token_key_file).read_bytes()
    except OSError as error:
        raise Misconfigured(f"AGORA_GATEWAY_TOKEN_KEY_FILE cannot be read: {error.strerror}") from None
    master = master_of(pseudonyms.master.get_secret_value())
    return Services(
        settings=settings,
        pool=make_pool(database),
        tokens=TokenAuthority(token_key, settings.public_url, f"{settings.public_url}/fhir", settings.token_seconds),
        seal=CursorSeal(master),
        directory=Directory(master),
        commands=commands,
        queries=RequestLimit(settings.queries_per_second, settings.burst_queries),
        started_at=clock.now(),
    )


def _start_webhook(settings: GatewaySettings, kafka_settings: KafkaSettings) -> asyncio.Task[None] | None:
    if not settings.webhook_url:
        return None
    webhook = Webhook(settings.webhook_url, webhook_key(settings.webhook_secret), kafka_settings)
    return asyncio.create_task(webhook.run(), name="webhook")


def _server_settings(settings: GatewaySettings, application: RequestRoom) -> uvicorn.Config:
    def tls(_config: uvicorn.Config, _default: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.certificate_file, settings.key_file)
        return context

    return uvicorn.Config(
        application, host=settings.host, port=settings.port, ssl_context_factory=tls, ssl_certfile=settings.certificate_file,
        ssl_keyfile=settings.key_file, log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none",
        lifespan="on", limit_concurrency=MOST_REQUESTS_AT_ONCE, timeout_graceful_shutdown=DRAIN_SECONDS, timeout_keep_alive=30,
    )  # fmt: skip
