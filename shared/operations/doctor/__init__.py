"""What is wrong with this Redis, these settings and this app, why it matters, and what to do.

`examination.examine` runs all checks and never raises; each check bounds its own time. Server checks are functions of
what INFO says, so that they can be tried on any answer.
"""
