"""The application: Dash on Flask, with every page."""

from collections.abc import Collection

from dash import Dash
from flask import Flask, Response, abort, jsonify, request
from sqlalchemy.exc import DBAPIError

from dashboard.database import Database, trouble
from dashboard.pages import compare
from dashboard.pages.importance import page as importance
from dashboard.pages.layers import page as layers
from dashboard.pages.studies import page as studies
from dashboard.pages.study import page as study
from dashboard.pages.trial import page as trial
from dashboard.parts.page import Page
from dashboard.parts.shell import PRODUCT, answer_trouble, frame, register
from dashboard.query import Query
from dashboard.server.api import add_api
from dashboard.server.compression import compress_data
from dashboard.server.login import require_token
from dashboard.server.public_url import PublicUrl
from dashboard.server.security import secure
from mlgsearch.errors import StorageError, UserError

PAGES: tuple[Page, ...] = (
    studies.PAGE,
    study.PAGE,
    layers.PAGE,
    trial.PAGE,
    importance.PAGE,
    compare.PAGE,
)


_INDEX = """<!doctype html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
<link rel="preload" as="script" href="/_dash-component-suites/plotly/package_data/plotly.min.js">
<script defer src="/_dash-component-suites/dash/dcc/async-graph.js"></script>
{%css%}
</head>
<body>
{%app_entry%}
<noscript>This page needs JavaScript; /api/openapi.json lists what scripts may ask.</noscript>
{%config%}
{%scripts%}
{%renderer%}
</body>
</html>
"""


def create_app(
    database: Database,
    hosts: Collection[str],
    token: str | None = None,
    public_url: PublicUrl | None = None,
) -> Flask:
    """Make the web application over a database.

    Args:
        database: to be shown.
        hosts: names and addresses by which the server may be called, without ports.
        token: what visitors must know; None lets everybody in who reaches the server.
        public_url: what browsers call it by through a proxy.
    """
    server = Flask("dashboard")
    server.url_map.merge_slashes = False  # a study's name may hold two
    app = Dash(
        "dashboard",
        server=server,  # type: ignore[arg-type]  # Dash's own types leave it out
        title=PRODUCT,
        index_string=_INDEX,
        update_title="",
        suppress_callback_exceptions=True,  # a page's components come with the page
        on_error=answer_trouble,
        add_log_handler=False,
    )
    # First of all that looks at a request.
    secure(server, hosts, app.csp_hashes(), public_url)
    compress_data(server)
    if token is not None:
        require_token(server, token)
    app.layout = frame()
    register(app, database, PAGES)
    for page in PAGES:
        page.register(app, database)
    _add_change_token(server, database)
    _add_downloads(server, database)
    _add_status(server)
    add_api(server, database)
    return server


def _add_change_token(server: Flask, database: Database) -> None:
    @server.get("/change-token")
    def _change_token() -> Response:
        try:
            return jsonify(change_token=database.change_token(tuple(request.args.getlist("name"))))
        except (StorageError, DBAPIError) as error:
            return jsonify(trouble=trouble(error))


def _add_status(server: Flask) -> None:
    """Set status 404 where Dash's page says in words that there is none."""
    known = {page.path for page in PAGES}

    @server.after_request
    def _status(response: Response) -> Response:
        if request.endpoint == "/<path:path>" and request.path not in known:
            response.status_code = 404
        return response


def _add_downloads(server: Flask, database: Database) -> None:
    tables = {table.key: table for page in PAGES for table in page.tables}

    @server.get("/download/<key>.<kind>")
    def _download(key: str, kind: str) -> Response:
        if key not in tables or kind not in ("csv", "json"):
            abort(404)
        table = tables[key]
        query = Query(request.args.to_dict(flat=False))
        try:
            if kind == "csv":
                answer = Response(table.csv(database, query), mimetype="text/csv")
            else:
                answer = jsonify(table.data(database, query))
        except (StorageError, DBAPIError) as error:
            abort(503, trouble(error))
        except UserError as error:
            abort(404, str(error))
        answer.headers["Content-Disposition"] = f'attachment; filename="{key}.{kind}"'
        return answer
