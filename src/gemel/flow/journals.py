"""From the plant file's [journal] to the journal.

Owns    which keeper its kind means, and that a data directory gets the journal it was filled from.
Never   appends or reads an entry.
"""

from pathlib import Path

from gemel.connect.login import LOGIN
from gemel.errors import Conflict, Invalid
from gemel.flow.fleet import Plan
from gemel.flow.sources import cluster_of
from gemel.records import LedgerRow
from gemel.store.journal import Journal
from gemel.store.journalfile import SqliteJournal
from gemel.store.journaltopic import KafkaJournal

WHERE = "[journal]"
OPTIONS = {"sqlite": (), "kafka": ("brokers", "topic", "mechanism", *LOGIN)}


def open_journal(plan: Plan, data: Path) -> Journal:
    """The journal of a plant: a file of the data directory, or a topic of its own."""
    options = dict(plan.plant.journal)
    kind = str(options.pop("kind", "sqlite"))
    if kind not in OPTIONS:
        raise Invalid(
            "journal.no_kind",
            f"'{kind}' is no kind of journal",
            where=WHERE,
            mend=f"use one of: {', '.join(OPTIONS)}",
        )
    if odd := sorted(set(options) - set(OPTIONS[kind])):
        raise Invalid(
            "journal.option",
            f"an option is not known: '{odd[0]}'",
            where=WHERE,
            mend=f"of kind {kind} are known: {', '.join(OPTIONS[kind]) or 'none'}",
        )
    if kind == "sqlite":
        return SqliteJournal(data / "journal.db")
    topic = str(options.get("topic", f"gemel-journal-{plan.plant.name}"))
    return KafkaJournal(cluster_of(options, plan.where, WHERE), topic, plan.plant.name)


def refuse_other(journal: Journal, last: LedgerRow) -> None:
    """A ledger is ahead of a journal only if it was filled from another one."""
    if last.journal_to > journal.last():
        raise Conflict(
            "journal.behind",
            f"the ledger has taken in entries up to {last.journal_to}, and the journal ends at"
            f" {journal.last()}",
            where=journal.where,
            mend="name the journal that this data directory was filled from, put back what it"
            " lost, or begin a new data directory",
        )
