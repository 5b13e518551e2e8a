"""gunicorn's settings for workers that become another user: what they import is loaded before.

The interpreter of a developer may lie where that user cannot read. The application itself is
still made in each worker, after it has changed its user.
"""

from tests.process.application import make_application

make_application()
