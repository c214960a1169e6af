from deploy.local.stack import Stack
from runtime import clock
from storage.writer import Writer
from tests.support.storing import Bench, connected, new_clinic, one, query


async def reconnect(writer: Writer) -> None:
    await writer.close()
    await writer.load(list(writer.positions))


async def test_what_a_restored_database_calls_otherwise_is_not_stored_under_a_key_of_before(stack: Stack) -> None:
    clinic, bench, now = new_clinic(stack, "a"), Bench(stack), clock.now()
    async with bench.writer() as writer:
        await writer.write(bench.frame(clinic, one(70, now)))
        with connected(clinic.owner) as connection:
            # As after a restore: the key under which the store knew the device is another's.
            connection.execute("UPDATE devices SET name = 'other' WHERE org = %s", (clinic.name,))
            connection.execute(
                "INSERT INTO devices (org, name, model, broker_password_hash) VALUES (%s, 'a', 'test', '')", (clinic.name,)
            )
        await reconnect(writer)
        await writer.write(bench.frame(clinic, one(71, now + 1)))
    stored = query(clinic.owner, "SELECT device, value FROM readings WHERE device LIKE %s ORDER BY value", f"{clinic.name}/%")
    assert stored == [(f"{clinic.name}/other", 70.0), (f"{clinic.name}/a", 71.0)]
