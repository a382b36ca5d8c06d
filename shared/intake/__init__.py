"""From a message to a reactor. intake.py joins the parts: events.py parses, heartbeat.py publishes and registers,
lane.py measures, sharing.py divides the keys, collector.py groups, listening.py and ear.py hear while the trigger
cannot, server_watch.py sees what the server shows of losses, mangled.py finds keys that are not UTF-8."""
