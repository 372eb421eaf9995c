"""What the commands about models print, beyond the table of `openbook models`."""

from __future__ import annotations

import click

from openbook.app.show import as_json as print_json
from openbook.app.show import table
from openbook.machine import Machine, cores, memory
from openbook.models.catalogue import readable
from openbook.models.fit import estimate
from openbook.models.repositories import PROJECTOR, Repository

CONTEXT = 4096  # tokens: what an answer from passages needs
BYTES_A_PARAMETER = 0.6  # at 4 to 5 bits; what is reckoned with it is small beside the weights


def memory_wanted(size_bytes: int, machine: Machine) -> int:
    """Bytes of memory that a file of that size takes, its weights not seen yet."""
    return estimate(size_bytes, round(size_bytes / BYTES_A_PARAMETER), machine, context=CONTEXT).needed


def repository(found: Repository, *, as_json: bool) -> None:
    """The models of a repository on the hub, and which of them fit into this machine's memory."""
    total, free, _ = memory()
    machine = Machine(cores(), total, free)
    if as_json:
        print_json({
            "repository": found.name,
            "commit": found.commit,
            "licence": found.licence,
            "licence_note": found.licence_note,
            "gated": found.gated,
            "memory_bytes": total,
            "files": [
                {
                    "file": offer.file,
                    "quantisation": offer.quantisation,
                    "size_bytes": offer.size_bytes,
                    "files": len(offer.parts),
                    "whole": offer.whole,
                    "sha256": [part.sha256 for part in offer.parts],
                    "memory_wanted_bytes": memory_wanted(offer.size_bytes, machine),
                    "fits": not total or memory_wanted(offer.size_bytes, machine) <= total,
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
            fits = "yes" if not total or memory_wanted(offer.size_bytes, machine) <= total else "no"
            wanted = readable(memory_wanted(offer.size_bytes, machine))
        split = f"  ({len(offer.parts)} files)" if len(offer.parts) > 1 else ""
        split += "" if offer.whole else "  (parts are missing)"
        rows.append([fits, offer.quantisation, readable(offer.size_bytes), wanted, offer.file + split])
    table(rows)
    here = f" This machine has {readable(total)} of memory." if total else ""
    click.echo(f"\nGet one with: openbook models pull hf:{found.name}:QUANTISATION (or the file).{here}")
