"""Payload formats: how a stream's bytes become neutral readings. A new format is one module and one entry here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from catalogue.device import AGORA_JSON
from catalogue.formats import agora_json
from catalogue.formats.decoded import Decoded

Decoder = Callable[[bytes], Decoded]
"""Takes a payload; raises ``contracts.errors.Rejected``, and nothing else, for one that cannot be read."""

DECODERS: Mapping[str, Decoder] = MappingProxyType({AGORA_JSON: agora_json.decode})
"""From the format names that device models use to their decoders."""
