import stat

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from contracts.topics import Principal
from deploy.local import certificates, credentials, environment
from deploy.local.accounts import caller
from deploy.local.instance import PROCESSES, Instance
from deploy.local.servers import Addresses


def settings(instance: Instance) -> dict[str, dict[str, str]]:
    secrets = credentials.load_or_make(instance)
    files = certificates.ensure(instance, caller())
    environment.write_all(instance, secrets, files, Addresses.find(instance, files.authority, {}))
    return {name: environment.read(instance, name) for name in (*PROCESSES, "operator", "owner", "probe")}


def test_secrets_are_made_once_and_differ(instance: Instance) -> None:
    first = credentials.load_or_make(instance)
    assert credentials.load_or_make(instance) == first
    every = [*first.kafka.values(), *first.database.values(), *first.mqtt.values(), *first.gateway.values()]
    assert len(set(every)) == len(every)
    assert all(len(secret) >= 32 for secret in every)


def test_secrets_never_show_in_a_message(instance: Instance) -> None:
    secrets = credentials.load_or_make(instance)
    assert not any(secret in repr(secrets) for secret in secrets.kafka.values())


def test_a_principal_that_comes_later_gets_a_secret_and_the_others_keep_theirs(instance: Instance) -> None:
    path = instance.credentials / "secrets.json"
    first = credentials.load_or_make(instance)
    path.write_text(path.read_text().replace('"keeper"', '"someone-else"'))
    second = credentials.load_or_make(instance)
    assert second.kafka["store"] == first.kafka["store"]
    assert second.kafka["keeper"] != first.kafka["keeper"]


def test_only_the_caller_can_read_what_is_secret(instance: Instance) -> None:
    settings(instance)
    secret = [*instance.credentials.iterdir(), *instance.environments.iterdir(), *instance.certificates.glob("*.key")]
    assert len(secret) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_no_process_gets_a_secret_it_does_not_need(instance: Instance) -> None:
    told = settings(instance)
    with_master = {name for name, values in told.items() if "AGORA_PSEUDONYM_MASTER" in values}
    assert with_master == {"router", "gateway", "operator"}
    assert {name for name, values in told.items() if "AGORA_MQTT_PASSWORD" in values} == {"bridge", "probe"}
    assert {name for name, values in told.items() if "AGORA_KEEPER_BROKER_PASSWORD" in values} == {"keeper"}
    assert {name for name, values in told.items() if values.get("AGORA_DATABASE_USER") == "agora_owner"} == {"owner"}
    assert {name for name, values in told.items() if "AGORA_DATABASE_PASSWORD" in values} == {
        "store", "router", "gateway", "keeper", "operator", "owner",
    }  # fmt: skip
    passwords = [values["AGORA_KAFKA_PASSWORD"] for values in told.values() if "AGORA_KAFKA_PASSWORD" in values]
    assert len(set(passwords)) == len(passwords) == len(Principal)


def test_a_server_certificate_is_for_this_machine_and_by_the_local_authority(instance: Instance) -> None:
    files = certificates.ensure(instance, caller())
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    for path in (files.mqtt, files.kafka, files.gateway):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_certificates_are_kept_from_one_start_to_the_next(instance: Instance) -> None:
    before = {
        path: path.read_bytes() for path in (certificates.ensure(instance, caller()).mqtt, instance.certificates / "ca.pem")
    }
    certificates.ensure(instance, caller())
    assert {path: path.read_bytes() for path in before} == before


def test_a_new_authority_renews_what_the_old_one_signed(instance: Instance) -> None:
    certificates.ensure(instance, caller())
    (instance.credentials / "ca.key").unlink()
    files = certificates.ensure(instance, caller())
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    x509.load_pem_x509_certificate(files.gateway.read_bytes()).verify_directly_issued_by(authority)


def test_access_tokens_are_signed_by_a_p256_key(instance: Instance) -> None:
    key = load_pem_private_key(certificates.ensure(instance, caller()).token_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
