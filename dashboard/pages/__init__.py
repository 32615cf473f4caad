"""One module a page; each has a ``PAGE`` (see `dashboard.page`)."""
