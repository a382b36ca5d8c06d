"""The doctor: what is wrong with this Redis, these settings and this app, why it matters, and how to correct it.

`examination.examine` runs all checks, each within a time limit, and raises nothing when Redis or storage is away. The
checks of the server are pure functions of INFO's reply, so tests can run them on any reply.
"""
