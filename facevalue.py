"""The front door: `facevalue VERB`, one verb per thing a person does; no logic of its own."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from faces.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Audits classifiers that read emotions from faces: what they confuse, why, for whom, and which labels are wrong.",
)

Data = Annotated[str, typer.Argument(metavar="DATA", help="Folder, .zip/.tar, FER-2013 CSV, or manifest CSV/Parquet.")]
Model = Annotated[
    str, typer.Option(metavar="MODEL", help="Checkpoint folder, model file, timm:NAME@weights or factory:FILE.py:FUNCTION@weights.")
]
Metadata = Annotated[Path | None, typer.Option(metavar="CSV", help="Sidecar joined by file name or sample id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="An audit run folder.")]
Classes = Annotated[str | None, typer.Option(metavar="a,b,..", help="The model's classes, in the order of its outputs.")]
Input = Annotated[str | None, typer.Option("--input", metavar="64x64,gray,-1..1", help="The model's input.")]
CamLayer = Annotated[str | None, typer.Option(metavar="NAME", help="The layer the saliency maps are taken from.")]
Pickle = Annotated[bool, typer.Option(help="Allow the model file to run code while it loads: only for files you trust.")]


def say(value: dict) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def main() -> None:
    """Run the command; an InputError becomes one sentence on standard error and exit code 2."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        print(f"facevalue: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        where = f" {error.filename}" if error.filename else ""
        print(f"facevalue: cannot write{where}: {error.strerror}; free space or choose another place.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
