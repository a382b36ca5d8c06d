"""From the bytes that a client wrote to named series. Pure."""
