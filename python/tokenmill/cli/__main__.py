"""`python -m tokenmill.cli`: the same as the command `tokenmill`."""

from tokenmill.cli import main

main(prog_name="tokenmill")
