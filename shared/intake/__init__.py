"""From a trigger message to a reactor: events.py parses, burst.py groups, lane.py tells when messages queue up,
mangled.py finds keys that are not UTF-8."""
