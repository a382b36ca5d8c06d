"""Redis: connection.py opens clients, transport.py carries bytes, script.py finds Lua scripts."""
