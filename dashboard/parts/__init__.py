"""What pages are built from: shell, tables, cells, charts, menus."""
