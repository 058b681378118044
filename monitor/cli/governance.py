"""Commands of accountability: the governance report, the audit, forgetting people."""

from datetime import datetime
from pathlib import Path
from typing import IO

import click

from monitor.cli.options import (
    MOMENT,
    by_option,
    config_option,
    json_option,
    load_config,
    model_option,
    open_state,
    reason_option,
)
from monitor.cli.status_and_history import the_model
from monitor.cli.terminal import print_document, print_json, print_table, say, write_private
from monitor.errors import UsageError
from monitor.times import utcnow

BROKEN = 3
file_type = click.Path(path_type=Path, dir_okay=False)


@click.command()
@config_option
@model_option
@click.option("--html", "html_file", metavar="F", type=file_type, help="Write it as one HTML file.")
@click.option("--markdown", "markdown_file", metavar="F", type=file_type, help="Write it as Markdown.")
@json_option
def report(
    config_file: Path | None, model: str | None, html_file: Path | None, markdown_file: Path | None, as_json: bool
) -> None:
    """Write the governance report of a model: versions, metrics, decisions with reasons, people's actions, lineage.

    Without an option it is printed as Markdown. Only you can read the files it writes.
    """
    from monitor.govern.html_report import html
    from monitor.govern.markdown_report import markdown
    from monitor.govern.report import gather

    loaded = load_config(config_file)
    name = the_model(loaded, model)
    section = loaded.config.models[name]
    with open_state(loaded) as store:
        found = gather(store, section, utcnow())
    for path, write in ((html_file, html), (markdown_file, markdown)):
        if path is not None:
            write_private(path, write(found, section.timezone))
    if as_json:
        print_json(report=found)
    elif html_file is None and markdown_file is None:
        print_document(markdown(found, section.timezone))


@click.group()
def audit() -> None:
    """Verify the audit (what was done, by whom and why), or export an archive of it."""


@audit.command("verify")
@config_option
@json_option
def audit_verify(config_file: Path | None, as_json: bool) -> int:
    """Verify the whole chain of entries; ends with 3 if one was changed, removed or cut off."""
    with open_state(load_config(config_file)) as store:
        found = store.audit.verify()
    if as_json:
        print_json(entries=found.entries, hash=found.hash, problem=found.problem)
    elif found.problem is not None:
        say(f"the audit is broken: {found.problem}; {found.entries} entries before it are whole")
    else:
        say(f"the audit is whole: {found.entries} entries, the newest has the hash {found.hash}")
    return 0 if found.problem is None else BROKEN


@audit.command("export")
@config_option
@click.option("--from", "start", type=MOMENT, metavar="TIME", help="Entries from then on; default: the first.")
@click.option("--to", "end", type=MOMENT, metavar="TIME", help="Entries before then; default: the newest.")
@click.option("-o", "--output", required=True, metavar="F", type=file_type, help="The archive, a zip file.")
def audit_export(config_file: Path | None, start: datetime | None, end: datetime | None, output: Path) -> int:
    """Write entries, configurations, lineage and verdicts into one archive, with their checksums.

    If the chain is broken, the archive is written all the same and the command ends with 3.
    """
    from monitor.govern.archive import export

    with open_state(load_config(config_file)) as store:
        found = store.audit.verify()
        try:
            count = export(store, start, end, output)
        except OSError as error:
            raise UsageError(f"{output}: cannot be written: {error.strerror}") from None
    say(f"{output}: {count} entries")
    if found.problem is not None:
        say(f"the audit is broken: {found.problem}", err=True)
    return 0 if found.problem is None else BROKEN


@click.command()
@config_option
@model_option
@click.option("--id", "ids", multiple=True, metavar="ID", help="Id of a row; may be repeated.")
@click.option("--file", "file", type=click.File(encoding="utf-8"), metavar="F",
              help="A file with one id on each line; - is stdin.")
@by_option
@reason_option
@json_option
def forget(
    config_file: Path | None, model: str | None, ids: tuple[str, ...], file: IO[str] | None, by: str,
    reason: str, as_json: bool,
) -> None:
    """Remove what the state holds about people, by the ids of their rows, and list what cannot be removed."""
    from monitor.govern.forget import forget as take_out

    loaded = load_config(config_file)
    name = the_model(loaded, model)
    wanted = {row_id.strip() for row_id in (*ids, *(file or ())) if row_id.strip()}
    if not wanted:
        raise UsageError("no ids are given, expected --id ID or --file F with one id on each line")
    if any(row_id in reason for row_id in wanted):
        raise UsageError("the reason contains one of the ids, and the audit keeps it; expected a reason without ids")
    with open_state(loaded) as store:
        done = take_out(store, loaded.config.models[name], wanted, by, reason, utcnow())
    if as_json:
        print_json(model=name, ids=len(wanted), forgotten=done)
        return
    rows = [("bounds of windows", str(done.bounds)), ("files of runs", str(done.run_files)),
            ("profiles of references, computed again at the next check", str(done.profiles)),
            ("copies of the state from before an upgrade or a restore", str(done.copies))]
    print_table(("removed", "how many"), rows, right=("how many",))
    for text in done.remains:
        say(f"not removed: {text}")
