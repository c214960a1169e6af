from storage import migrate


def test_migrations_stand_in_one_line() -> None:
    assert "," not in migrate.head()
