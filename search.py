"""The command line of mlgsearch, from a checkout; the same as the installed `mlgsearch`."""

from mlgsearch.cli.app import main

if __name__ == "__main__":
    main()
