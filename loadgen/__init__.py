"""loadgen: MQTT load testing for RabbitMQ clusters, with numbers that are true."""

__version__ = "0.1.0"
