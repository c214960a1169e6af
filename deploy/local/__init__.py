"""The platform's servers and processes on one machine, without Docker.

Read in this order: ``instance`` (folders and ports), ``accounts`` (whose they are), ``software``, ``credentials``,
``certificates``, one module per server (``kafka``, ``postgres``, ``mosquitto``), ``environment`` (what each process is told),
``preparation`` and ``provisioning`` (what must be there before and after the servers start), ``stack`` (all together),
``supervisor`` (the stack as a process of its own).
"""
