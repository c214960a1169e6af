"""The whole chain under load, measured from outside: messages over MQTT in, committed rows out, and what it costs.

Pure: ``workload`` (the messages), ``statistics``, ``report``. Around them: ``generator`` (publishes, a process of its own),
``meters`` (processor time and memory), ``commits`` (when rows became visible), ``platform`` (servers and processes),
``enrolment``, ``history`` (rows stored before), ``measure`` (one run), ``stages`` (each stage alone), ``peer`` (Telegraf, which
others would take instead), ``run`` (all together).
"""
