"""What the commands about models print, beyond the table of `openbook models`."""

from __future__ import annotations

import click

from openbook.app.show import as_json as print_json
from openbook.app.show import table
from openbook.models.catalogue import readable
from openbook.models.repositories import PROJECTOR, Repository, memory_here, memory_wanted


def repository(found: Repository, *, as_json: bool) -> None:
    """The models of a repository on the hub, and which of them fit into this machine's memory."""
    memory = memory_here()
    if as_json:
        print_json({
            "repository": found.name,
            "commit": found.commit,
            "licence": found.licence,
            "licence_note": found.licence_note,
            "gated": found.gated,
            "memory_bytes": memory,
            "files": [
                {
                    "file": offer.file,
                    "quantisation": offer.quantisation,
                    "size_bytes": offer.size_bytes,
                    "files": len(offer.parts),
                    "whole": offer.whole,
                    "sha256": [part.sha256 for part in offer.parts],
                    "memory_wanted_bytes": memory_wanted(offer.size_bytes),
                    "fits": not memory or memory_wanted(offer.size_bytes) <= memory,
                }
                for offer in found.offers
            ],
        })  # fmt: skip
        return
    gated = ", gated: agree to its terms there first" if found.gated else ""
    click.echo(f"{found.name}: licence {found.licence}, {found.licence_note}{gated}")
    if not found.offers:
        click.echo("It holds no GGUF file. Look for a repository whose name ends in GGUF.")
        return
    rows = [["fits", "quantisation", "size", "memory", "file"]]
    for offer in found.offers:
        if PROJECTOR.search(offer.file):
            fits, wanted = "", ""
        else:
            fits = "yes" if not memory or memory_wanted(offer.size_bytes) <= memory else "no"
            wanted = readable(memory_wanted(offer.size_bytes))
        split = f"  ({len(offer.parts)} files)" if len(offer.parts) > 1 else ""
        split += "" if offer.whole else "  (parts are missing)"
        rows.append([fits, offer.quantisation, readable(offer.size_bytes), wanted, offer.file + split])
    table(rows)
    here = f" This machine has {readable(memory)} of memory." if memory else ""
    click.echo(f"\nGet one with: openbook models pull hf:{found.name}:QUANTISATION (or the file).{here}")
