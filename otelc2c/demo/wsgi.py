"""For any WSGI server: `gunicorn otelc2c.demo.wsgi:application`."""

from otelc2c.demo.app import make_application

__all__ = ["application", "make_application"]

application = make_application()
