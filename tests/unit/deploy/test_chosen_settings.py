from deploy.local.view import chosen_settings

GIVEN = {
    "AGORA_GATEWAY_WEBHOOK_URL": "https://nurse.example/hook",
    "AGORA_INGEST_FRAME_BYTES": "1000",
    "AGORA_LOG_LEVEL": "debug",
    "AGORA_DATABASE_PASSWORD": "secret",
    "HOME": "/home/nurse",
}


def test_a_process_gets_what_was_chosen_for_it_and_for_all_and_nothing_else() -> None:
    assert chosen_settings("gateway", GIVEN) == {
        "AGORA_GATEWAY_WEBHOOK_URL": "https://nurse.example/hook",
        "AGORA_LOG_LEVEL": "debug",
    }
    assert "AGORA_INGEST_FRAME_BYTES" in chosen_settings("bridge", GIVEN)


def test_the_operator_and_the_owner_have_nothing_to_choose() -> None:
    assert chosen_settings("operator", GIVEN) == {}
