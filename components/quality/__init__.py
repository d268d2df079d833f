"""The gate before training. Great Expectations reads its telemetry switch when it is imported."""

import os

os.environ["GX_ANALYTICS_ENABLED"] = "false"
