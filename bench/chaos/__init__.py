"""``agora chaos``: the whole platform under load while its parts are killed, frozen, restarted and cut off, then counted.

Pure: ``plan`` (what happens when), ``withdrawals`` (in which faults consents end), ``load`` with ``pace`` (who sends what),
``judge``, ``judge_apps`` and ``alerts`` (what must hold), ``times`` and ``sizes`` (what is told).
Shells: ``platform`` (servers and processes, with ``proxy`` between them), ``cast`` (enrolment), ``consenting`` and ``nurse``
(people), ``watch`` (how soon it recovers), ``evidence`` (reads what came of it), ``plants`` (does on purpose what must be
caught). ``run`` puts them together, ``report`` says it.
"""
