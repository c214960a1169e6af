"""The bridge between devices and the platform: MQTT to Kafka, and Kafka's word back to the device.

Pure: ``packets``, ``routes``, ``envelope``, ``replies``, ``framing``, ``intake``, ``window``. They decide; they touch nothing.
Shell: ``link`` (transport), ``session`` (paho), ``courier`` (producer), ``errands`` (consumer), ``bridge`` (all together).
"""
