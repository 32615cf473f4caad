"""One folder or module per page; each has a ``PAGE`` (see `dashboard.parts.page`)."""
