"""otelc2c: an OpenTelemetry distribution for Pyramid and other WSGI applications."""

