"""Read studies and trials from the database, for the command line and the page."""
