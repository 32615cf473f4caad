"""How much of a result is luck: noise of seeds and samples, and what to expect."""
