"""Ray: its session, its workers, its object store, and the signals that stop them."""
