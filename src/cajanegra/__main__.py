"""The command line's entry point: ``cajanegra`` and ``python -m cajanegra``."""

from __future__ import annotations

import os
import sys

import click

from cajanegra.cli.app import cli
from cajanegra.cli.render import printable
from cajanegra.errors import CajanegraError, SettingsError, UsageError

FAILED, WRONG_USE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141


def main() -> None:
    """Run a command; whatever goes wrong is one line on standard error and an exit code that says so."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        code = cli.main(args=arguments, prog_name="cajanegra", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return WRONG_USE
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        hint = f" (see {where.command_path} --help)" if where else ""
        return _complain(f"{error.format_message().rstrip('.')}{hint}", WRONG_USE)
    except CajanegraError as error:
        return _complain(str(error), WRONG_USE if isinstance(error, SettingsError | UsageError) else FAILED)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except UnicodeEncodeError:
        return _complain(
            "a text is not valid UTF-8; look at the arguments and the terminal's encoding", WRONG_USE
        )
    except OSError as error:
        _drop_output()
        where = f" {error.filename}" if error.filename else " the output"
        return _complain(f"cannot read or write{where}: {error.strerror or error}", FAILED)
    return code if isinstance(code, int) else 0


def _drop_output() -> None:
    """Nobody takes our output any more; what is still buffered must not raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, code: int) -> int:
    click.echo(f"cajanegra: {' '.join(printable(message).split())}", err=True)
    return code


if __name__ == "__main__":
    main()
