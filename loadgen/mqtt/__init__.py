"""A sans-IO MQTT 5 session."""
