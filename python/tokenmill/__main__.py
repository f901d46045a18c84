"""``python -m tokenmill``: the command, where it is not on the PATH."""

from tokenmill.cli import main

if __name__ == "__main__":
    main(prog_name="python -m tokenmill")
