"""Redis: connection.py opens clients, script.py finds Lua scripts, refusals.py tells Redis' errors apart."""
