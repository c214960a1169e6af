"""The platform's servers and processes on one machine, without Docker.

Read in this order: ``instance`` (folders and ports), ``accounts`` (whose they are), ``software``, ``credentials``, ``certificates``,
one module per server (``kafka``, ``postgres``, ``mosquitto``), ``environment`` (what each process is told), ``stack`` (all together),
``supervisor`` (the stack as a process of its own).
"""
