from contracts.errors import Code
from storage.sites import Sites


def test_a_device_numbers_its_sites_from_one_downwards_in_the_order_of_their_arrival() -> None:
    sites = Sites(most=3)
    names = [(("o", "a", "wrist"), 7), (("o", "b", "wrist"), 8), (("o", "a", "ankle"), 7), (("o", "a", "wrist"), 7)]
    assert sites.take(names, {}) == [(7, -1, "wrist"), (8, -1, "wrist"), (7, -2, "ankle")]
    assert sites.key("o", "a", "wrist") is None, "another store may have entered it under another number"
    assert sites.take(names, {7: {"wrist": -1, "ankle": -2}, 8: {"wrist": -1}}) == []
    assert [sites.key("o", device, "wrist") for device in "abc"] == [-1, -1, None]


def test_who_has_named_as_many_as_a_device_may_is_refused_more_and_keeps_those_it_has() -> None:
    sites = Sites(most=2)
    names = [(("o", "a", name), 7) for name in ("wrist", "ankle", "nose")] + [(("o", "b", "nose"), 8)]
    assert sites.take(names, {7: {"wrist": -1}}) == [(7, -2, "ankle"), (8, -1, "nose")]
    assert sites.refusal("o", "a", "nose") is Code.SITES_EXCEEDED
    assert sites.refusal("o", "b", "toe") is None
    assert sites.key("o", "a", "wrist") == -1


def test_a_number_that_another_store_left_free_is_used_and_no_device_goes_beyond_its_numbers() -> None:
    standing = {7: {"wrist": -1, "ankle": -2, "nose": -4}}
    names = [(("o", "a", name), 7) for name in ("toe", "ear", "back")]
    assert Sites(most=5).take(names, standing) == [(7, -3, "toe"), (7, -5, "ear")]
    assert Sites(most=2).take(names, standing) == []


def test_a_site_of_all_devices_is_everybodys_and_what_is_no_site_is_refused() -> None:
    sites = Sites()
    sites.shared = {"": 1, "finger": 2}
    assert (sites.key("o", "a", ""), sites.key("o", "b", "finger")) == (1, 2)
    for text in ("left\0arm", "left arm", "x" * 65, "wrist\n"):
        assert sites.refusal("o", "a", text) is Code.PAYLOAD_INVALID
