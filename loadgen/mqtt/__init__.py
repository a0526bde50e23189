"""MQTT 5 without IO: bytes in, events out, bytes to send.

The session knows no clock, socket or task; whoever owns a transport feeds `Session.receive` and writes
what `Session.take` gives.
"""
