"""otelc2c: an OpenTelemetry distribution for Pyramid and other WSGI applications."""

__version__ = "0.1.0"
