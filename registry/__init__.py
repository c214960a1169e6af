"""Organisations, subjects, devices and rules; the outbox that tells of their changes; the keeper that publishes them.

Read in this order: ``records`` (what may be said), ``organisations``, ``devices``, ``loans``, ``clocks``, ``rules`` (one
transaction each), ``outbox``; then the keeper: ``leadership``, ``publication``, ``resync``, ``credentials``, ``app_access``,
``watchdog``, ``keeper``.
"""
