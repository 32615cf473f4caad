"""The packages of the distribution; all else is in pyproject.toml.

The folder `dashboard` is installed as `mlgsearch_dashboard`: a site-packages may hold another
package of so common a name.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["mlgsearch", "mlgsearch.*"]),
        *(f"mlgsearch_{name}" for name in find_packages(include=["dashboard", "dashboard.*"])),
    ],
    package_dir={"mlgsearch_dashboard": "dashboard"},
)
