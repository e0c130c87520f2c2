"""``hldm download / simulate / check / graph``: corpora and the knowledge graph."""

from __future__ import annotations

import os
from pathlib import Path

from hldm.cli import arguments
from hldm.cli.progress import working
from hldm.data.errors import DataError
from hldm.paths import workplace


def add_to(command) -> None:
    """Add the commands to the parser."""
    sub = command("download", download, "fetch a public data set, resuming an interrupted attempt")
    sub.add_argument("dataset", choices=["circor"])
    sub.add_argument("--to", type=Path, metavar="FOLDER", help="default: ~/.cache/hldm/DATASET, or $HLDM_CACHE/DATASET")
    sub.add_argument("--mirror", metavar="URL", help="a folder with the same content, instead of the publisher's")

    sub = command("simulate", simulate, "write a simulated corpus in CirCor's format")
    sub.add_argument("folder", type=Path, help="one that does not exist yet, or is empty")
    sub.add_argument("--patients", type=arguments.count, default=200, help="at least 1 (default: 200)")
    sub.add_argument("--seed", type=arguments.seed, default=0, help="same seed, same bytes (default: 0)")

    sub = command("check", check, "read a corpus in CirCor's format and list every problem")
    sub.add_argument("corpus", type=Path, nargs="?", help="default: $HLDM_CIRCOR")

    sub = command("graph", graph, "write the knowledge graph for other programs")
    sub.add_argument("file", type=Path, metavar="FILE", help="NAME.graphml (graph tools) or NAME.ttl (RDF)")


def download(options) -> None:
    """Fetch a data set."""
    from hldm.data.download import SOURCES
    from hldm.data.download import download as fetch

    folder = fetch(options.dataset, options.to, mirror=options.mirror)
    print(f"{folder}\n{SOURCES[options.dataset].terms}")
    if options.dataset == "circor":
        print(f"export HLDM_CIRCOR={folder}")


def simulate(options) -> None:
    """Write a simulated corpus."""
    from hldm.data import simulate_corpus

    simulate_corpus(options.folder, patients=options.patients, seed=options.seed, progress=True)
    print(options.folder)


def check(options) -> int:
    """Check a corpus; 1 where there are problems."""
    from hldm.data import CircorCorpus

    folder = arguments.corpus(options)
    with working(f"reading {folder}"):
        report = CircorCorpus(folder).check()
    print(report)
    return 1 if report.problems else 0


def graph(options) -> None:
    """Write the knowledge graph; a file that is not this graph is never replaced."""
    from hldm.knowledge import counts, export

    file = options.file
    writers = {".graphml": export.to_graphml, ".ttl": export.to_turtle}
    write = writers.get(file.suffix.lower())
    if write is None:
        raise DataError("a name that ends in .graphml or .ttl", field="FILE", value=str(file))
    with workplace(file.with_name(f".{file.name}.partial")) as aside:
        made = write(aside / file.name)
        if file.exists() and file.read_bytes() != made.read_bytes():
            raise DataError("no file, or this graph; move it away, or choose another name", file=file)
        os.replace(made, file)
    size = counts()
    print(f"{size['nodes']} nodes, {size['edges']} edges: {file}")
