from psycopg import AsyncConnection

from contracts.registry import RuleRecord
from deploy.local.stack import Stack
from registry import rules
from registry.outbox import Database
from registry.retention import Retention
from registry.settings import KeeperSettings
from runtime.settings import DatabaseSettings
from tests.support.keeping import database


def settings_of(stack: Stack) -> tuple[KeeperSettings, DatabaseSettings]:
    env = stack.settings("keeper")
    keeper = KeeperSettings(
        broker_password_file=env["AGORA_KEEPER_BROKER_PASSWORD_FILE"],
        service_accounts_file=env["AGORA_KEEPER_SERVICE_ACCOUNTS_FILE"],
        outbox_days=1,
        ledger_days=1,
    )
    return keeper, DatabaseSettings(
        host=env["AGORA_DATABASE_HOST"],
        port=env["AGORA_DATABASE_PORT"],
        name=env["AGORA_DATABASE_NAME"],
        user=env["AGORA_DATABASE_USER"],
        password=env["AGORA_DATABASE_PASSWORD"],
    )


async def test_old_rows_go_but_never_the_newest_record_of_a_key_nor_what_the_watchdog_has_not_passed(
    stack: Stack, operator: Database
) -> None:
    versions = [rules.set_rule(operator, RuleRecord(rule="aged", vital="8867-4", low=low)) for low in (40, 41, 42)]
    with database(stack, "owner") as owner:
        owner.execute("UPDATE outbox SET published_at = now() - interval '2 days' WHERE version = ANY(%s)", (versions,))
        owner.execute("INSERT INTO ledger_marks VALUES (99, 11)")
        for offset in (9, 10, 11):
            owner.execute(
                "INSERT INTO ledger_raw VALUES (99, %s, now() - interval '3 days', 1, 0, 1, 0, 0, 1, %s)", (offset, offset == 9)
            )
            owner.execute("INSERT INTO ledger_stored VALUES (99, %s, 0, 1, 0, 0, 1, 0, 0)", (offset,))
    keeper, where = settings_of(stack)
    async with await AsyncConnection.connect(where.conninfo(), autocommit=True) as connection:
        await Retention(keeper, where).prune(connection)
    left = operator.execute("SELECT version FROM outbox WHERE key = 'aged'").fetchall()
    assert left == [(versions[-1],)]
    for table in ("ledger_raw", "ledger_stored"):  # the resent one of offset 9 stays, too
        rows = operator.execute(f"SELECT raw_offset FROM {table} WHERE raw_partition = 99").fetchall()  # noqa: S608
        assert sorted(rows) == [(9,), (11,)]
