"""For any WSGI server: `gunicorn otelc2c.demo.wsgi:application`."""

import os

from otelc2c.demo.app import METRICS_URL, Application, make_application

__all__ = ["application", "with_page"]


def with_page(metrics_url: str = METRICS_URL, database: str = "") -> Application:
    """The application of this process' environment: REDIS_URL is where its cache is.

    `database` is the path of its order book (`otelc2c.demo.database.make`); without one it has none.
    """
    return make_application(metrics_url, os.environ.get("REDIS_URL", ""), database)


application = with_page()
