"""A WSGI service of prefork workers with shared limits (`limits.py`). Run:

    pip install sharedkit gunicorn
    gunicorn --config examples/applications/web/gunicorn.conf.py

SIGHUP to the master replaces the workers, SIGUSR2 the master as well; the limits stay.
"""

import os
import sys

chdir = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, chdir)

import limits  # noqa: E402, F401  the master keeps the limits open while workers come and go; forked workers have them

wsgi_app = "wsgi_service:app"
bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = 2
timeout = 30
