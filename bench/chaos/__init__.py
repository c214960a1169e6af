"""``agora chaos``: the whole platform under load while its parts are killed, frozen, restarted and cut off, then counted.

Pure: ``plan`` (what happens when), ``load`` (who sends what), ``judge`` with ``alerts`` (what must hold). Shells: ``platform``
(servers and processes, with ``proxy`` between them), ``cast`` (enrolment), ``watch`` (how soon it recovers), ``evidence``
(reads what came of it), ``plants`` (does on purpose what must be caught). ``run`` puts them together, ``report`` says it.
"""
