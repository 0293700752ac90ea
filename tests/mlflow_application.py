"""MLflow's answers without its web server: `mlflow_application.py PORT FOLDER`; a test forks it."""

import os
import sys

from mlflow.server import constants
from werkzeug.serving import make_server

port, folder = sys.argv[1:]
os.environ |= {
    constants.BACKEND_STORE_URI_ENV_VAR: f"sqlite:///{folder}/mlflow.db",
    constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
    constants.ARTIFACTS_DESTINATION_ENV_VAR: folder,
    constants.SERVE_ARTIFACTS_ENV_VAR: "true",
}

from mlflow.server import app  # noqa: E402 - it reads these variables

make_server("127.0.0.1", int(port), app, threaded=True).serve_forever()
