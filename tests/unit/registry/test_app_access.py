from contracts.topics import app_topic
from registry.app_access import AppRow, Found, plan, rights_of

NOTHING = Found(frozenset(), frozenset(), frozenset())


def test_a_new_app_gets_its_topic_and_rights() -> None:
    todo = plan([AppRow("rhythm", revoked=False, provisioned=False)], NOTHING)
    assert todo.make_topics == (app_topic("rhythm"),)
    assert set(todo.give_rights) == rights_of("rhythm")
    assert (todo.take_rights, todo.delete_users) == ((), ())


def test_nothing_is_done_twice() -> None:
    found = Found(frozenset({"agora.app.rhythm.v1"}), rights_of("rhythm"), frozenset({"app-rhythm"}))
    assert not any(plan([AppRow("rhythm", revoked=False, provisioned=True)], found))


def test_a_revoked_app_loses_its_rights_and_its_user_but_its_topic_stays_for_its_retention() -> None:
    found = Found(frozenset({"agora.app.rhythm.v1"}), rights_of("rhythm"), frozenset({"app-rhythm", "bridge"}))
    todo = plan([AppRow("rhythm", revoked=True, provisioned=True)], found)
    assert set(todo.take_rights) == rights_of("rhythm")
    assert todo.delete_users == ("app-rhythm",)
    assert (todo.make_topics, todo.give_rights) == ((), ())


def test_rights_of_an_app_that_nobody_knows_are_taken() -> None:
    todo = plan([], Found(frozenset(), rights_of("ghost"), frozenset({"app-ghost"})))
    assert set(todo.take_rights) == rights_of("ghost")
    assert todo.delete_users == ()


def test_the_groups_of_one_app_never_begin_like_anothers() -> None:
    groups = [right.name for right in rights_of("heart") if right.name.startswith("agora-app-")]
    assert sorted(groups) == ["agora-app-heart", "agora-app-heart."]
    assert not any(f"agora-app-{other}".startswith("agora-app-heart.") for other in ("heart-2", "hearts"))
