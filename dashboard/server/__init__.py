"""The server: waitress, login, security headers, compression, the JSON API."""
