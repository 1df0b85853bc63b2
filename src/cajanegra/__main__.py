"""The command line's entry point: ``cajanegra`` and ``python -m cajanegra``."""

from __future__ import annotations

import os
import sys

import click

from cajanegra.cli.app import cli
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
    except (SettingsError, UsageError) as error:
        return _complain(str(error), WRONG_USE)
    except CajanegraError as error:
        return _complain(str(error), FAILED)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    click.echo(f"cajanegra: {' '.join(message.split())}", err=True)
    return code


if __name__ == "__main__":
    main()
