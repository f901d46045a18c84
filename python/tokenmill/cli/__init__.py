"""The command line: one verb a file, each of them parse, one library call, print.

This file holds what all verbs share: their table, and what an error, Ctrl-C or a closed pipe turns into.
A verb's module is imported when the verb is used, so that `tokenmill --help` stays quick.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from tokenmill._core import DocumentError, FormatError, StoreError, UnknownTokenError, __version__
from tokenmill.cli._common import Note

# verb -> (module, what `tokenmill --help` says about it); in the order of the data path.
VERBS = {
    "count-words": ("count_words", "Count the pieces of text files, to train from more than once."),
    "train-tokenizer": ("train_tokenizer", "Learn a vocabulary from text files."),
    "report": ("report", "Measure a tokenizer on texts, beside others."),
    "encode": ("encode", "Turn text into token ids."),
    "decode": ("decode", "Turn token ids into text."),
    "count": ("count", "Count the tokens of a text or of files."),
    "bench": ("bench", "Time encoding, and compare the ids with another tokenizer's."),
    "prepare": ("prepare", "Encode a corpus into a token store."),
    "seal": ("seal", "Join what the tasks of a preparation have made."),
    "verify": ("verify", "Check every byte of a token store."),
    "repair": ("repair", "Remake the damaged shards of a token store from its inputs."),
    "inspect": ("inspect", "Say what a tokenizer file or a token store holds."),
    "sample": ("sample", "Show training windows of a token store as text."),
    "train": ("train", "Train a language model on a token store."),
    "generate": ("generate", "Let a model go on from a prompt."),
}

USAGE, BAD_DATA, INTERRUPTED = 2, 1, 130


class Verbs(click.Group):
    """The group of all verbs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the data path."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the module of one verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"tokenmill.cli.{VERBS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Runs a verb; what goes wrong becomes one line on stderr and an exit code."""
        buffer_stdout()
        note = Note()
        extra["standalone_mode"] = False
        if os.environ.get("NO_COLOR"):  # https://no-color.org; without it, colours are for terminals
            extra["color"] = False
        try:
            code = super().main(*args, obj=note, **extra)
        except click.Abort:
            code = fail(f"interrupted: {note.kept}", INTERRUPTED)
        except click.exceptions.NoArgsIsHelpError as error:
            code = fail(error.format_message(), USAGE)
        except click.UsageError as error:
            verb = error.ctx.command_path if error.ctx else "tokenmill"
            code = fail(f"error: {one_line(error.format_message()).rstrip('.')}. See {verb} --help.", USAGE)
        except (DocumentError, FormatError, StoreError, UnknownTokenError, OSError) as error:
            code = fail(f"error: {message_of(error)}", BAD_DATA)
        except ValueError as error:
            code = fail(f"error: {message_of(error)}", USAGE)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> None:
        """Runs a verb; a reader of our output that has gone, as in `| head`, is no error."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # What Python flushes at exit goes to nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def buffer_stdout() -> None:
    """Puts a buffer before stdout where PYTHONUNBUFFERED has taken it away.

    Without one Python forgets what is left of a write that a signal has cut short, such as Ctrl-Z and `fg`.
    """
    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        stdout = sys.stdout
        sys.stdout = open(  # noqa: SIM115
            stdout.fileno(), "w", encoding=stdout.encoding, errors=stdout.errors, closefd=False
        )


def fail(message: str, code: int) -> int:
    """Says why, and passes the exit code on."""
    click.echo(message, err=True)
    return code


def message_of(error: Exception) -> str:
    """The message of an error; the system's errors as "file: reason" like everybody else's."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return one_line(str(error))


def one_line(message: str) -> str:
    """Without line breaks."""
    return " ".join(message.split())


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="tokenmill %(version)s")
def main() -> None:
    """Raw text in, LLM training batches out.

    \b
    tokenmill train-tokenizer data/ -o tokenizer.json --vocab-size 32000
    tokenmill prepare data/ -t tokenizer.json -o corpus.tm
    tokenmill sample corpus.tm --max-length 8 --stride 8

    Results go to stdout, progress and errors to stderr. With --json a verb prints one JSON object and nothing
    else on stdout, and its progress as JSON lines on stderr.

    \b
    Exit codes:
      0    done
      1    a document, a tokenizer file or a store is damaged, missing or cannot be written
      2    wrong usage
      130  stopped by Ctrl-C; the last line says what was kept
    """
