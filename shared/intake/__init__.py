"""From a trigger message to a reactor: events.py parses, burst.py groups, lane.py tells when messages queue up."""
