"""Mails: found by who wrote what to whom, a person's own words apart from those quoted; no mail costs another."""

from __future__ import annotations

import gzip
import os
import random
import struct
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import RANDOM, ReaderContract, Write, read
from openbook import registry
from openbook.errors import ReadError
from openbook.finding import find
from openbook.readers import known
from openbook.readers.auto import Auto
from openbook.readers.compressed_rtf import decompressed
from openbook.readers.mail import Mail
from openbook.readers.mail_quotes import tell_apart
from openbook.readers.mbox import Mbox
from openbook.readers.mhtml import Mhtml
from openbook.readers.mime import characters, date_of, flowed, words
from openbook.readers.msg import Msg
from openbook.readers.sniffing import sniff
from openbook.recipe import Spec
from openbook.types import Document, Reader, Unread

SAMPLES = Path(__file__).parent / "data"
SIMPLE = """\
From: "Berg, Anna" <anna@berg.example>
To: Bob <bob@fish.example>
Cc: carl@fish.example
Subject: Invoice for October
Date: Tue, 05 Mar 2024 14:22:00 +0100
Message-ID: <1@berg.example>
In-Reply-To: <0@fish.example>
X-Gmail-Labels: =?UTF-8?Q?Gel=C3=B6scht,Inbox?=

Hello Bob,
here it is.
"""


@pytest.fixture
def mail(write: Write) -> Callable[[bytes | str], Document]:
    """The first document of a mail of these bytes."""

    def mail(content: bytes | str) -> Document:
        document = next(iter(Auto()(write("a.eml", content))))
        assert isinstance(document, Document)
        return document

    return mail


LINES = "", "> a", "-- ", "On 3 May 2024 B wrote:", "From: a", "Sent: b", "Subject: c", "Fish.", "Sent from my iPhone"
ReadMail = Callable[[bytes | str], Document]


def composed(text: str = "Hello.", html: str = "", **head: str) -> EmailMessage:
    message = EmailMessage()
    head = {"Subject": "Fish", "From": "anna@berg.example"} | {
        name.replace("_", "-"): said for name, said in head.items()
    }
    for name, said in head.items():
        message[name] = said
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def body(document: Document) -> str:
    """The text below the mail's head."""
    return document.text.partition("\n\n")[2]


def parts(document: Document) -> list[tuple[str, str]]:
    """Each part's kind and its words, the head left out."""
    begin = len(document.text) - len(body(document))
    marks = [(0, "text"), *document.parts, (len(document.text), "")]
    found = [
        (kind, " ".join(document.text[max(at, begin) : end].split()))
        for (at, kind), (end, _) in zip(marks, marks[1:], strict=False)
    ]
    return [(kind, said) for kind, said in found if said]


class TestMail(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Mail()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        message = composed("Hi.\n\nOn 3 May 2024 Bob <b@x.example> wrote:\n> Fish?\n-- \nAnna")
        message.add_attachment(b"One fish.", maintype="text", subtype="plain", filename="a.txt")
        message.add_attachment(b"# Two", maintype="text", subtype="markdown", filename="a.txt")
        message.add_attachment(composed("Inner."))
        return write("a.eml", message.as_bytes())

    def test_a_mail_is_its_words_below_who_wrote_it_when_and_to_whom(self, mail: ReadMail) -> None:
        document = mail(SIMPLE)
        assert document.text == textwrap.dedent("""\
            Subject Invoice for October
            From Berg, Anna <anna@berg.example>
            To Bob <bob@fish.example>
            Cc carl@fish.example
            Date 2024-03-05 14:22 +0100

            Hello Bob,
            here it is.""")
        assert document.title == "Invoice for October"
        assert document.parts == ()
        assert document.fields == {
            "subject": "Invoice for October",
            "from": "Berg, Anna <anna@berg.example>",
            "to": "Bob <bob@fish.example>",
            "cc": "carl@fish.example",
            "date": "2024-03-05T13:22:00Z",
            "message_id": "1@berg.example",
            "in_reply_to": "0@fish.example",
            "labels": "Gelöscht,Inbox",
        }

    def test_what_a_page_hides_is_not_in_the_mail(self, mail: ReadMail) -> None:
        preview = '<div style="font-size:0; DISPLAY: none"><p>Preview <b style="display:none">x</b></p></div>'
        page = f"<body>{preview}<p>The fish."
        assert body(mail(composed("", page).as_bytes())) == "The fish."

    def test_the_plain_text_is_taken_unless_it_only_points_to_the_page(self, mail: ReadMail) -> None:
        page = "<html><body><h1>Fish</h1><p>The fish swims.<p>" + "More of it. " * 40
        assert body(mail(composed("The plain fish.", page).as_bytes())) == "The plain fish."
        for plain in ("", "\n \n", "Please view this mail in an HTML capable client.", "<div>The fish</div>"):
            assert body(mail(composed(plain, page).as_bytes())).startswith("Fish\n\nThe fish swims.")
        assert body(mail(b"Subject: a\nContent-Type: text/html\n\n<p>One<p>Two")) == "One\n\nTwo"

    def test_parts_that_lie_in_each_other(self, mail: ReadMail) -> None:
        related = EmailMessage()
        related["Subject"] = "Nested"
        related.set_content("Plain words.")
        related.add_alternative("<p>Page words. <img src='cid:x'>", subtype="html")
        page = list(related.iter_parts())[1]
        assert isinstance(page, EmailMessage)
        page.add_related(b"\x89PNG", "image", "png", cid="<x>")
        related.add_attachment(b"BEGIN:VCALENDAR", maintype="text", subtype="calendar", filename="invite.ics")
        document = mail(related.as_bytes())
        assert body(document) == "Plain words."
        assert document.text.splitlines()[1] == "Attached invite.ics"

    def test_text_below_an_attachment_is_the_mail_s_too(self, mail: ReadMail) -> None:
        content = (
            "Subject: a\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nFirst.\n--x\n"
            "Content-Type: image/png\n\nabc\n--x\nContent-Type: text/plain\n\nLast.\n--x--\n"
        )
        assert body(mail(content)) == "First.\n\nLast."
        assert body(mail(content.replace("--x--\n", ""))) == "First.\n\nLast."
        assert body(mail(content.replace("boundary=x", "boundary=y"))) == "First.\n\nLast."
        assert body(mail(content.replace("; boundary=x", ""))) == "First.\n\nLast."
        assert body(mail("Subject: a\nContent-Type: multipart/mixed;\n\nWords.")) == "Words."
        enriched = "Subject: a\nContent-Type: text/enriched\n\nA <bold>fish</bold>."
        assert body(mail(enriched)) == "A fish."

    @pytest.mark.parametrize(
        ("head", "content", "said"),
        [
            ("text/plain; charset=iso-8859-1", "Grüße – €".encode("cp1252"), "Grüße – €"),
            ("text/plain", "Grüße".encode("cp1252"), "Grüße"),
            ("text/plain", "Grüße".encode(), "Grüße"),
            ("text/plain; charset=us-ascii", "Grüße".encode(), "Grüße"),
            ("text/plain; charset=utf-8", "Grüße".encode("cp1252"), "Grüße"),
            ("text/plain; charset=nonsense", "Grüße".encode(), "Grüße"),
            ("text/plain; charset=hex", "Grüße".encode(), "Grüße"),
            ("text/plain; charset=gb2312", "魚朱镕基".encode("gb18030"), "魚朱镕基"),
            ('text/plain; charset="windows-1251"', "Рыба".encode("cp1251"), "Рыба"),
            ("text/html", b"<meta charset=windows-1251>" + "Рыба".encode("cp1251"), "Рыба"),
            ("TEXT/PLAIN; CHARSET='UTF-8'", "Grüße".encode(), "Grüße"),
            ("text; charset=utf-8", "Grüße".encode(), "Grüße"),
        ],
    )
    def test_characters_are_told_whatever_the_head_says(
        self, mail: ReadMail, head: str, content: bytes, said: str
    ) -> None:
        assert body(mail(f"Subject: a\nContent-Type: {head}\n\n".encode() + content)) == said

    @pytest.mark.parametrize(
        ("encoding", "content", "said"),
        [
            ("base64", "R3LDvMOfZQ", "Grüße"),  # no padding
            ("base64", "R3LD*vMOfZQ==", "Grüße"),
            ("quoted-printable", "Gr=C3=BC=C3=9Fe =\nan =XX Bo=", "Grüße an =XX Bo"),
            ("7bit", "Grüße", "Grüße"),
            ("nonsense", "Grüße", "Grüße"),
        ],
    )
    def test_a_broken_encoding_gives_what_it_can(self, mail: ReadMail, encoding: str, content: str, said: str) -> None:
        head = f"Subject: a\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
        assert body(mail(head + content)) == said

    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            (b"=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
            (b"=?iso-8859-1?q?Gr=FC=DFe_an?= Bob", "Grüße an Bob"),
            (b"=?utf-8?Q?Gr=C3?=\n =?utf-8?Q?=BC=C3=9Fe?=", "Grüße"),  # one letter cut into two words
            (b"=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),
            (b"=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            (b"=?utf-8?Q?Gr=C3=BC=C3=9Fe", "Grüße"),
            (b"=?nonsense?Q?Fish?=", "Fish"),
            (b"=?utf-8?X?Fish?= a", "=?utf-8?X?Fish?= a"),
            ("Grüße".encode(), "Grüße"),
            ("Grüße".encode("cp1252"), "Grüße"),
            (b"folded\n  line\x00\x01", "folded line"),
            (b"", ""),
        ],
    )
    def test_subjects_as_they_are_found(self, mail: ReadMail, raw: bytes, said: str) -> None:
        assert mail(b"From: a@b.example\nSubject: " + raw + b"\n\nText.").title == said

    @pytest.mark.parametrize(
        ("disposition", "name"),
        [
            ('attachment; filename="a b.txt"', "a b.txt"),
            ("attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt", "Grüße.txt"),
            ("attachment; filename*0*=UTF-8''Gr%C3%BC; filename*1*=%C3%9Fe; filename*2=.txt", "Grüße.txt"),
            ('attachment; filename="=?utf-8?Q?Gr=C3=BC=C3=9Fe=2Etxt?="', "Grüße.txt"),
            ('attachment; filename="Grüße.txt"', "Grüße.txt"),
            ('attachment; filename="../../etc/passwd.txt"', "../../etc/passwd.txt"),
            ("attachment; filename*=''x.txt", "x.txt"),
            ("attachment", "attachment.txt"),
        ],
    )
    def test_attachments_are_documents_under_their_names(self, write: Write, disposition: str, name: str) -> None:
        content = (
            "Subject: a\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nSee below.\n--x\n"
            f"Content-Type: text/plain\nContent-Disposition: {disposition}\n\nOne fish.\n--x--\n"
        )
        path = write("a.eml", content)
        assert [(one.source, one.text) for one in read(Auto(), path)][1:] == [(f"{path}#{name}", "One fish.")]

    def test_an_attachment_that_cannot_be_read_is_named_if_we_claim_its_kind(self, write: Write) -> None:
        message = composed()
        for name in ("a.pdf", "b.png", "c.ics", "d.zip", "e.txt"):
            message.add_attachment(b"\0\1 no such thing", maintype="application", subtype="octet-stream", filename=name)
        path = write("a.eml", message.as_bytes())
        found = list(Auto()(path))
        assert [one.source.removeprefix(str(path)) for one in found] == ["", "#a.pdf", "#d.zip", "#e.txt"]
        for one in found[1:]:
            assert isinstance(one, Unread)
            assert one.reason.startswith(one.source)
            assert "openbook-" not in one.reason

    def test_what_is_attached_is_read_as_auto_reads_and_as_deep(self, write: Write) -> None:
        whales = (SAMPLES / "whales.pdf").read_bytes()
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("in/whales.pdf", whales)
        message = composed()
        message.add_attachment(packed.getvalue(), maintype="application", subtype="zip", filename="old.zip")
        message.add_attachment(whales, maintype="application", subtype="pdf", filename="scan")
        path = write("a.eml", message.as_bytes())
        reader = registry.make("reader", Spec.parse("auto(pdf='pypdf')"))
        sources = [one.source.removeprefix(str(path)) for one in read(reader, path)]
        assert sources == ["", "#old.zip#in/whales.pdf", "#scan.pdf"]
        boxed = write("b.zip", b"")
        with zipfile.ZipFile(boxed, "w") as archive:
            archive.writestr(
                "mails/a.mbox", b"From a@b Tue Mar 05 14:00:00 2024\nMessage-ID: <7>\n" + message.as_bytes()
            )
        found = list(reader(boxed))
        assert [one.source.removeprefix(str(boxed)) for one in found] == [
            "#mails/a.mbox#7",
            "#mails/a.mbox#7/old.zip#in/whales.pdf",
            "#mails/a.mbox#7/scan.pdf",
        ]

    def test_a_bomb_in_a_mail_costs_that_attachment(self, write: Write) -> None:
        message = composed()
        bomb = gzip.compress(b"\0" * (20 << 20))
        message.add_attachment(bomb, maintype="application", subtype="gzip", filename="a.txt.gz")
        message.add_attachment(b"fish", maintype="text", subtype="plain", filename="b.txt")
        path = write("a.eml", message.as_bytes())
        found = list(Auto()(path))
        assert [type(one) for one in found] == [Document, Unread, Document]
        assert isinstance(found[1], Unread)
        assert "zip bomb" in found[1].reason

    def test_an_attached_mail_is_a_document_with_its_own_author(self, write: Write) -> None:
        inner = composed("The inner fish.", Subject="In/side", From="carl@fish.example")
        inner.add_attachment(b"deep", maintype="text", subtype="plain", filename="deep.txt")
        outer = composed("See the mail below.")
        outer.add_attachment(inner)
        path = write("a.eml", outer.as_bytes())
        found = read(Auto(), path)
        assert [one.source.removeprefix(str(path)) for one in found] == ["", "#In side.eml", "#In side.eml/deep.txt"]
        assert [one.fields.get("from") for one in found[:2]] == ["anna@berg.example", "carl@fish.example"]
        assert "inner fish" not in found[0].text

    def test_mails_in_mails_end(self, write: Write) -> None:
        message = composed("bottom")
        for _ in range(60):
            outer = composed("outer")
            outer.add_attachment(message)
            message = outer
        found = list(Auto()(write("a.eml", message.as_bytes())))
        assert sum(isinstance(one, Document) for one in found) == 4
        assert [one.reason for one in found if isinstance(one, Unread)]

    def test_parts_in_parts_without_end_are_a_reason_not_a_crash(self, write: Write) -> None:
        nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(3000))
        many = "Content-Type: multipart/mixed; boundary=x\n\n" + "--x\n\nfish\n" * 20_000
        began = time.process_time()
        for content in (nested, many, "Content-Type: message/rfc822\n\n" * 3000):
            try:
                found = list(Auto()(write("a.eml", f"Subject: a\n{content}")))
            except ReadError as error:
                found = [Unread("a", str(error))]
            assert found
            assert all("\n" not in one.reason for one in found if isinstance(one, Unread))
        assert time.process_time() - began < 60

    def test_an_encrypted_mail_is_its_head_and_a_reason(self, write: Write) -> None:
        content = (
            "Subject: Secret\nContent-Type: multipart/encrypted; boundary=x\n\n--x\nContent-Type: application/"
            "pgp-encrypted\n\nVersion: 1\n--x\nContent-Type: application/octet-stream\n\n-----BEGIN PGP\n--x--\n"
        )
        document, unread = Auto()(write("a.eml", content))
        assert isinstance(document, Document)
        assert document.text == "Subject Secret"
        assert isinstance(unread, Unread)
        assert "is encrypted: its words were not read." in unread.reason

    @pytest.mark.parametrize(
        ("said", "stored"),
        [
            ("Tue, 05 Mar 2024 14:22:00 +0100 (CET)", "2024-03-05T13:22:00Z"),
            ("5 Mar 24 14:22 GMT", "2024-03-05T14:22:00Z"),
            ("Tue, 05 Mar 2024 14:22:00 -0000", "2024-03-05T14:22:00Z"),
            ("Tue, 99 Mar 2024 14:22:00 +0100", None),
            ("yesterday", None),
            ("Fri, 1 Jan 1904 00:00:00 +1400", None),
            ("", None),
        ],
    )
    def test_dates_compare_as_text(self, mail: ReadMail, said: str, stored: str | None) -> None:
        assert mail(f"Subject: a\nDate: {said}\n\nText.").fields.get("date") == stored

    def test_a_date_that_is_missing_is_when_it_arrived(self, mail: ReadMail) -> None:
        document = mail("Received: from a by b;\n Tue, 05 Mar 2024 14:22:00 +0100\nSubject: a\n\nText.")
        assert document.fields["date"] == "2024-03-05T13:22:00Z"

    def test_an_editor_s_byte_order_mark_and_apple_s_count_are_no_part_of_a_mail(self, write: Write) -> None:
        for content in (b"\xef\xbb\xbf" + SIMPLE.encode(), SIMPLE.encode("utf-16"), b"\n\n" + SIMPLE.encode()):
            (document,) = read(Auto(), write("a.eml", content))
            assert document.title == "Invoice for October"
        apple = f"{len(SIMPLE)}   \n{SIMPLE}<?xml version='1.0'?><plist>".encode()
        (document,) = read(Auto(), write("a.emlx", apple))
        assert document.text.endswith("here it is.")

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"no mail at all", b"\x7fELF\0\1", b"\0" * 500])
    def test_what_is_no_mail_says_so(self, write: Write, content: bytes) -> None:
        for name in ("a.eml", "a.mbox", "a.msg", "a.mhtml"):
            with pytest.raises(ReadError) as caught:
                list(Auto()(write(name, content)))
            assert "\n" not in str(caught.value)


class TestOwnWords:
    @pytest.mark.parametrize(
        "attribution",
        [
            "On Tue, 5 Mar 2024 at 14:22, Bob Fisher <bob@fish.example> wrote:",
            "On Tue, 5 Mar 2024 at 14:22, Bob Fisher\n<bob@fish.example> wrote:",
            "On 05/03/2024 14:22, Bob wrote:",
            "Am 05.03.2024 um 14:22 schrieb Bob Fisher:",
            "Am Di., 5. März 2024 um 14:22 Uhr schrieb Bob\nFisher <bob@fish.example>:",
            "Bob Fisher <bob@fish.example> schrieb am 05.03.2024:",
            "Le mar. 5 mars 2024 à 14:22, Bob <bob@fish.example> a écrit :",
            "El mar, 5 mar 2024 a las 14:22, Bob (<bob@fish.example>) escribió:",
            "Il giorno mar 5 mar 2024 alle ore 14:22 Bob <bob@fish.example> ha\nscritto:",
            "bob@fish.example writes:",
        ],
    )
    def test_who_wrote_what_is_quoted_is_quoted_too(self, mail: ReadMail, attribution: str) -> None:
        document = mail(f"Subject: a\n\nYes, I do.\n\n{attribution}\n\n> Do you\n> fish?\n\nAnd he: does.\n")
        assert parts(document) == [
            ("text", "Yes, I do."),
            ("quote", " ".join(f"{attribution} > Do you > fish?".split())),
            ("text", "And he: does."),
        ]

    @pytest.mark.parametrize(
        "block",
        [
            "-----Original Message-----\nFrom: Bob\nSent: Tuesday\nTo: Anna\nSubject: Fish",
            "-----Ursprüngliche Nachricht-----\nVon: Bob",
            "________________________________\nVon: Bob\nGesendet: Dienstag, 5. März 2024\nAn: Anna\nBetreff: Fisch",
            "From: Bob\n\nSent: Tuesday\n\nTo: Anna\n\nSubject: Fish",
            "*From:* Bob\n*Sent:* Tuesday\n*To:* Anna\n*Subject:* Fish",
            "De : Bob\nEnvoyé : mardi\nÀ : Anna\nObjet : Poisson",
            "---------- Forwarded message ---------\nFrom: Bob",
            "Begin forwarded message:\n\nFrom: Bob",
            "Anfang der weitergeleiteten Nachricht:",
            "On Tue, 5 Mar 2024 at 14:22, Bob Fisher wrote:",
        ],
    )
    def test_all_below_a_mail_s_head_is_quoted(self, mail: ReadMail, block: str) -> None:
        document = mail(f"Subject: a\n\nYes.\n\n{block}\n\nDo you fish?\n\nBob")
        assert [kind for kind, _ in parts(document)] == ["text", "quote"]
        assert parts(document)[0][1] == "Yes."
        assert parts(document)[1][1].endswith("Do you fish? Bob")

    @pytest.mark.parametrize(
        "text",
        [
            "He wrote:\nI fish.",
            "From: the sea\nTo: the shore\nwe swam.",
            "On Tuesday I wrote a note:\nbuy fish",
            "a > b and b > c",
            "The mail -- sent from my iPhone -- says:\none\ntwo\nthree\nfour\nfive",
            "Sent from my heart, this letter is long.\n\nOne.\n\nTwo.\n\nThree.\n\nFour.",
        ],
    )
    def test_own_words_stay_own(self, mail: ReadMail, text: str) -> None:
        assert mail(f"Subject: a\n\n{text}").parts == ()

    @pytest.mark.parametrize(
        "tail",
        [
            "-- \nAnna Berg\nHead of Fish",
            "--\nAnna",
            "Sent from my iPhone",
            "Von meinem iPhone gesendet",
            "Gesendet mit der GMX Mail App",
            "Envoyé de mon iPhone",
            "Get Outlook for iOS<https://aka.ms/o0ukef>",
            "_______________________________________________\nfish mailing list\nfish@lists.example",
        ],
    )
    def test_a_signature_is_no_words_of_the_mail(self, mail: ReadMail, tail: str) -> None:
        document = mail(f"Subject: a\n\nYes.\n\n{tail}\n\nOn 5 Mar 2024, Bob wrote:\n> Fish?\n")
        assert [kind for kind, _ in parts(document)] == ["text", "signature", "quote"]

    def test_a_page_s_quotations_are_told_apart(self, mail: ReadMail) -> None:
        def page(html: str) -> list[tuple[str, str]]:
            return parts(mail(f"Subject: a\nContent-Type: text/html; charset=utf-8\n\n{html}"))

        gmail = (
            '<div>Yes.</div><div class="gmail_quote"><div class="gmail_attr">On 5 Mar Bob wrote:<br></div>'
            '<blockquote class="gmail_quote">Do you fish?</blockquote><div>Often.</div></div>'
            '<div class="gmail_signature">Anna</div>'
        )
        assert page(gmail) == [
            ("text", "Yes."),
            ("quote", "On 5 Mar Bob wrote: Do you fish?"),
            ("text", "Often."),
            ("signature", "Anna"),
        ]
        forwarded = 'Look.<div class="gmail_quote"><div>---------- Forwarded message</div>Do you fish?</div>'
        assert page(forwarded) == [("text", "Look."), ("quote", "---------- Forwarded message Do you fish?")]
        outlook = (
            '<p class="MsoNormal">Ja.</p><div style="border-top:solid #E1E1E1 1.0pt"><p class="MsoNormal"><b>Von:</b>'
            " Bob<br><b>Gesendet:</b> Dienstag<br><b>An:</b> Anna<br><b>Betreff:</b> Fisch</p></div><p>Fischst du?</p>"
        )
        assert page(outlook) == [
            ("text", "Ja."),
            ("quote", "Von: Bob Gesendet: Dienstag An: Anna Betreff: Fisch Fischst du?"),
        ]
        thunderbird = (
            '<p>Yes.</p><div class="moz-cite-prefix">Bob said</div><blockquote><p>Fish?</p></blockquote><p>No.'
        )
        assert page(thunderbird) == [("text", "Yes."), ("quote", "Bob said Fish?"), ("text", "No.")]
        assert page("<p>One\ue000<p>Two &#xE001; three") == [("text", "One Two three")]

    def test_flowed_lines_are_joined(self, mail: ReadMail) -> None:
        head = "Subject: a\nContent-Type: text/plain; format=flowed\n\n"
        text = "One \ntwo.\n\nThree\n> four \n> five\n>> six\n From a\n-- \nAnna"
        assert body(mail(head + text)) == "One two.\n\nThree\n> four five\n>> six\nFrom a\n--\nAnna"
        assert flowed("eins \nzwei", delete_space=True) == "einszwei"

    @RANDOM
    @given(lines=st.lists(st.sampled_from(LINES), max_size=30))
    def test_each_line_has_one_kind(self, lines: list[str]) -> None:
        kinds = tell_apart(lines)
        assert len(kinds) == len(lines)
        assert all(kind == "quote" for line, kind in zip(lines, kinds, strict=True) if line.startswith(">"))

    @pytest.mark.parametrize(
        "piece", ["> ", "On 3 May 2024 ", "From: ", "wrote: ", "-- \n", "=?", "On 3 wrote:\n", "\n", '"', "From: a\n"]
    )
    def test_odd_mails_take_no_longer_than_their_length(self, write: Write, piece: str) -> None:
        path = write("a.eml", f"Subject: {piece.strip() * 50_000}\n\n{piece * 50_000}x")
        began = time.process_time()
        list(Auto()(path))
        assert time.process_time() - began < 30


class TestMbox(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Mbox()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        first = "From 1@xxx Tue Mar 05 13:22:00 +0000 2024\n" + SIMPLE
        return write("a.mbox", first + "\n" + first + "\nFrom - Tue Mar  5 14:00:00 2024\nSubject: b\n\nNo id.\n")

    def test_each_mail_is_a_document_by_its_id_or_number(self, sample: Path) -> None:
        sources = [one.source.removeprefix(str(sample)) for one in read(Mbox(), sample)]
        assert sources == ["#1@berg.example", "#1@berg.example~2", "#3"]

    def test_lines_that_begin_with_from_are_words(self, write: Write) -> None:
        text = (
            "From a@b.example Tue Mar 05 14:00:00 2024\nSubject: a\n\n>From the sea,\n>>From it,\n\n"
            "From time to time\nwe fish.\n\nFrom me at 10:00, 5 May 2024\nto you.\n"
            "From a@b.example Tue Mar 05 14:00:00 2024\nSubject: b\n\nTwo.\n"
        )
        first, second = read(Auto(), write("a.mbox", text))
        assert body(first) == (
            "From the sea,\n>From it,\n\nFrom time to time\nwe fish.\n\nFrom me at 10:00, 5 May 2024\nto you."
        )
        assert body(second) == "Two."

    def test_line_ends_of_windows_and_lines_without_dates(self, write: Write) -> None:
        text = "From MAILER-DAEMON\nSubject: a\n\nOne.\n\nFrom someone\nSubject: b\n\nTwo.\n"
        for content in (text, text.replace("\n", "\r\n"), "\n\n" + text):
            assert [one.title for one in read(Auto(), write("a.mbox", content))] == ["a", "b"]

    def test_one_broken_mail_costs_that_mail(self, write: Write) -> None:
        good = "From a@b.example Tue Mar 05 14:00:00 2024\nSubject: a\n\nOne.\n\n"
        path = write("a.mbox", good + "From a@b.example Tue Mar 05 14:00:00 2024\n\n\0\1\2 no head\n\n" + good)
        found = list(Auto()(path))
        assert [type(one) for one in found] == [Document, Unread, Document]
        assert found[1].source == f"{path}#2"

    def test_a_mail_of_one_endless_line_costs_that_mail(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("openbook.readers.mbox.LARGEST", 1 << 20)
        monkeypatch.setattr("openbook.readers.mime.LARGEST", 1 << 20)
        good = b"From a@b.example Tue Mar 05 14:00:00 2024\nSubject: a\n\nOne.\n\n"
        path = write(
            "a.mbox", good + b"From a@b Tue Mar 05 14:00:00 2024\nSubject: b\n\n" + b"x" * (3 << 20) + b"\n\n" + good
        )
        found = list(Auto()(path))
        assert [type(one) for one in found] == [Document, Unread, Document]
        assert isinstance(found[1], Unread)
        assert "has more than 1 MB" in found[1].reason


class TestMaildir:
    NAMES = ("cur/1700000000.M1P2.host.example:2,S", "new/1700000001.M1P2.mail.md", "cur/1700000002.M1P2.host:2,RS")

    def test_its_files_are_mails_whatever_their_names(self, write: Write, tmp_path: Path) -> None:
        for number, name in enumerate(self.NAMES):
            write(f"Maildir/{name}", f"Subject: {number}\n\nText.\n")
        write("Maildir/tmp/1700000003.M1P2.host", "half a ma")
        write("Maildir/dovecot-uidlist", "3 V1")
        write("Maildir/.Sent/cur/1700000004.M1P2.host:2,S", "Subject: 4\n\nText.\n")
        write(".cache/Mail/cur/1700000004.M1P2.host:2,S", "Subject: 5\n\nText.\n")
        found = find([tmp_path], known)
        assert sorted(read(Auto(), Path(file.path))[0].title for file in found.files) == ["0", "1", "2", "4"]
        assert len(found.skipped) == 2

    def test_a_file_without_a_suffix_is_a_mail_by_its_head(self, write: Write) -> None:
        assert sniff(write("mail", SIMPLE)) == "mail"
        assert sniff(write("Inbox", "From a@b.example Tue Mar 05 14:00:00 2024\n" + SIMPLE)) == "mbox"
        assert sniff(write("README", "Subject: fish\n\nFrom: the sea\n")) == "text"
        assert sniff(write("notes", "From Tuesday at 10:00\non we fish.\n")) == "text"


class TestMhtml(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Mhtml()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        content = textwrap.dedent("""\
            From: <Saved by Blink>
            Snapshot-Content-Location: https://fish.example/a
            Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=
            Date: Tue, 5 Mar 2024 13:22:00 -0000
            Content-Type: multipart/related; type="text/html"; boundary="x"

            --x
            Content-Type: text/html
            Content-Transfer-Encoding: quoted-printable

            <html><meta charset=3Dutf-8><nav>Menu</nav><h1>Fish</h1><h2>Gr=C3=B6=C3=9Fe</h2><p>Big.
            --x
            Content-Type: image/png

            abc
            --x--
            """)
        return write("a.mhtml", content)

    def test_the_page_is_read_as_html(self, sample: Path) -> None:
        (document,) = read(Auto(), sample)
        assert document.text == "Fish\n\nGröße\n\nBig."
        assert document.title == "Fish"
        assert [label for _, label in document.headings] == ["Fish", "Größe"]
        assert document.fields == {"url": "https://fish.example/a", "date": "2024-03-05T13:22:00Z"}


@pytest.fixture
def formats(data: Path) -> Path:
    if not (data / "formats").is_dir():
        pytest.skip("no samples of formats")
    return data / "formats" / "files"


Folder = dict[str, "bytes | Folder"]


def ole(root: Folder) -> bytes:
    """An OLE file of short streams: they lie in sectors of 64 bytes in the stream of the root."""
    end, none = 0xFFFFFFFE, 0xFFFFFFFF
    entries: list[list[Any]] = []
    small, small_fat = b"", list[int]()

    def add(name: str, kind: int, content: bytes | Folder) -> int:
        nonlocal small
        number = len(entries)
        entry: list[Any] = [name, kind, none, none, end, 0]  # right sibling, child, sector, size
        entries.append(entry)
        if isinstance(content, bytes):
            begin, count = len(small_fat), -(-len(content) // 64)
            small += content.ljust(64 * count, b"\0")
            small_fat.extend([*range(begin + 1, begin + count), end][:count])
            entry[4:] = begin if count else end, len(content)
        else:
            below = [add(name, 2 if isinstance(one, bytes) else 1, one) for name, one in content.items()]
            entry[3] = below[0] if below else none
            for before, after in pairwise(below):
                entries[before][2] = after
        return number

    def sectors(content: bytes) -> int:
        return -(-len(content) // 512)

    add("Root Entry", 5, root)
    small_table = struct.pack(f"<{len(small_fat)}I", *small_fat)
    directory_at = sectors(small) + sectors(small_table)
    entries[0][4:] = 0, len(small)
    directory = b"".join(
        struct.pack(
            "<64sHBBIII36xIQ", name.encode("utf-16-le"), 2 * len(name) + 2, kind, 1, none, right, child, at, size
        )
        for name, kind, right, child, at, size in entries
    )
    fat = list[int]()
    for stream in (small, small_table, directory):
        fat += [*range(len(fat) + 1, len(fat) + sectors(stream)), end]
    fat_at = len(fat)
    assert fat_at < 127
    table = struct.pack("<128I", *fat, 0xFFFFFFFD, *[none] * (127 - fat_at))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack(
        "<16xHHHHH6x9I109I",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, 1, directory_at, 0, 4096, sectors(small), sectors(small_table), end, 0),
        *(fat_at, *[none] * 108),
    )
    return head + b"".join(one.ljust(512 * sectors(one), b"\0") for one in (small, small_table, directory)) + table


def properties(header: int, said: dict[int, str | bytes | int], folders: Folder | None = None) -> Folder:
    """A folder of a msg: its properties, and folders in it."""
    found: Folder = {}
    listed = b"\0" * header
    for name, value in said.items():
        kind = 0x1F if isinstance(value, str) else 0x102 if isinstance(value, bytes) else 0x40 if value > 2**32 else 3
        listed += struct.pack("<HHIQ", kind, name, 6, value if isinstance(value, int) else 0)
        if not isinstance(value, int):
            found[f"__substg1.0_{name:04X}{kind:04X}"] = value.encode("utf-16-le") if isinstance(value, str) else value
    return {"__properties_version1.0": listed, **found, **(folders or {})}


def outlook() -> bytes:
    """A mail with two recipients, a text attached and a mail attached."""
    inner = properties(24, {0x37: "Inner", 0x1000: "The inner fish.", 0x0C1A: "Carl"})
    return ole(
        properties(
            32,
            {
                0x37: "Grüße",
                0x1000: "Hallo Bob.\r\n\r\nVon: Bob\r\nGesendet: gestern\r\nAn: Anna\r\nBetreff: Fisch\r\n\r\nFisch?",
                0x1013: b"<p>Hallo",
                0x0C1A: "Anna Berg",
                0x0C1F: "/O=FISH/CN=ANNA",
                0x5D01: "anna@berg.example",
                0x39: 133541185200000000,
                0x1035: "<1@berg.example>",
                0x3FDE: 65001,
            },
            {
                "__recip_version1.0_#00000000": properties(8, {0x3001: "Bob", 0x39FE: "bob@fish.example", 0x0C15: 1}),
                "__recip_version1.0_#00000001": properties(8, {0x3001: "carl@fish.example", 0x0C15: 2}),
                "__attach_version1.0_#00000000": properties(8, {0x3707: "a.txt", 0x3701: b"One fish."}),
                "__attach_version1.0_#00000001": properties(8, {0x3705: 5}, {"__substg1.0_3701000D": inner}),
            },
        )
    )


class TestMsg(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Msg()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write("a.msg", outlook())

    def test_a_mail_of_outlook_is_read_as_any_other(self, sample: Path) -> None:
        first, text, inner = read(Auto(), sample)
        assert first.title == "Grüße"
        assert first.fields == {
            "subject": "Grüße",
            "from": "Anna Berg <anna@berg.example>",
            "to": "Bob <bob@fish.example>",
            "cc": "carl@fish.example",
            "date": "2024-03-05T13:22:00Z",
            "message_id": "1@berg.example",
        }
        assert [kind for kind, _ in parts(first)] == ["text", "quote"]
        assert (text.source, text.text) == (f"{sample}#a.txt", "One fish.")
        assert (inner.source, inner.text) == (f"{sample}#Inner.eml", "Subject Inner\nFrom Carl\n\nThe inner fish.")

    def test_words_in_rich_text_alone_are_read(self, write: Write) -> None:
        # A byte of flags before 8 tokens: 8 letters, then 7 and a reference that is cut off.
        rtf = b"\0{\\rtf1 a" + b"\x80bcdefg}"
        packed = struct.pack("<II4sI", len(rtf) + 12, 999, b"LZFu", 0) + rtf
        assert decompressed(packed) == b"{\\rtf1 abcdefg}"
        mail = write("a.msg", ole(properties(32, {0x37: "Rich", 0x1009: packed})))
        (document,) = read(Auto(), mail)
        assert body(document) == "abcdefg"
        fuzz(write, "b.msg", mail.read_bytes(), 200)

    def test_a_reference_may_reach_into_what_it_writes(self) -> None:
        at = 207 + 1  # where the next byte is written
        packed = b"\x06a" + struct.pack(">HH", (at - 1) << 4 | 3, (at + 5) << 4)
        assert decompressed(struct.pack("<II4sI", len(packed) + 12, 6, b"LZFu", 0) + packed) == b"aaaaaa"

    @RANDOM
    @given(content=st.binary(max_size=200))
    def test_any_bytes_can_be_decompressed(self, content: bytes) -> None:
        decompressed(b"\0" * 8 + b"LZFu\0\0\0\0" + content)

    def test_a_damaged_one_never_crashes(self, write: Write) -> None:
        fuzz(write, "a.msg", outlook(), 300)

    def test_samples_of_other_projects_are_read(self, formats: Path) -> None:
        found = {path.name: read(Auto(), path) for path in sorted((formats / "msg").iterdir())}
        assert all(documents[0].title and documents[0].fields["from"] for documents in found.values())
        chinese = found["tika__testMSG_chinese.msg"][0]
        assert chinese.title == "Alfresco MSG format testing ( MSG 格式測試 )"
        assert parts(found["tika__testMSG_forwarded.msg"][0]) == [
            ("text", "Forwarded Body"),
            (
                "quote",
                "From: Paul Allan Hill Sent: Wednesday, December 07, 2011 4:30 PM To: Paul Allan Hill Subject: Testing "
                "Original Body",
            ),
        ]

    def test_damaged_samples_never_crash(self, formats: Path, write: Write) -> None:
        for path in sorted((formats / "msg").iterdir()):
            fuzz(write, path.name, path.read_bytes(), 40)


class TestFuzz:
    @pytest.mark.parametrize("name", ["a.eml", "a.mbox", "a.mhtml", "a"])
    def test_damaged_mails_never_crash(self, write: Write, name: str) -> None:
        message = composed(
            "Hi.\n\nOn 3 May 2024 Bob wrote:\n> Fish?\n-- \nAnna", "<p>Hi.<blockquote>Fish?</blockquote>"
        )
        message.add_attachment(b"One fish.", maintype="text", subtype="plain", filename="Grüße.txt")
        message.add_attachment(composed("Inner.", To="Bérg <a@b.example>"))
        content = message.as_bytes()
        if name == "a.mbox":
            content = b"".join(b"From a@b Tue Mar 05 14:00:00 2024\n" + content + b"\n" for _ in range(3))
        fuzz(write, name, content, 300)

    @RANDOM
    @given(content=st.binary(max_size=300))
    def test_any_bytes_as_words_and_dates(self, content: bytes) -> None:
        text = content.decode("ascii", "surrogateescape")
        words(text).encode()
        words(f"=?utf-8?B?{text}?= =?{text}?q?{text}?=").encode()
        date_of(text)
        characters(content, text)


def fuzz(write: Write, name: str, content: bytes, rounds: int) -> None:
    random.seed(name)
    for _ in range(rounds):
        damaged = bytearray(content)
        for _ in range(random.randint(1, 12)):
            at = random.randrange(len(damaged))
            if random.random() < 0.2:
                damaged[at : at + 4] = random.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
            elif random.random() < 0.3:
                del damaged[at : at + random.randint(1, 40)]
                damaged = damaged or bytearray(b"x")
            else:
                damaged[at] = random.randrange(256)
        path = write(name, bytes(damaged[: random.choice([len(damaged), random.randint(0, len(damaged))])]))
        try:
            found = list(Auto()(path))
        except ReadError as error:
            found = [Unread(name, str(error))]
        for one in found:
            if isinstance(one, Unread):
                assert "\n" not in one.reason
            else:
                assert one.text.strip()
                assert "\0" not in one.text
                one.text.encode()


MEASURE = """
import resource, sys, time
from pathlib import Path
from openbook.readers.auto import Auto
from openbook.readers.mbox import Mbox
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in Auto()(Path(sys.argv[1])))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, int(time.process_time()))
"""


@pytest.mark.slow
def test_a_mailbox_of_any_size_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.mbox"
    mail = SIMPLE.encode() + b"\n" + b"The fish swims in the sea and comes back to the shore.\n" * 180
    count = 20_000
    with path.open("wb") as file:
        for number in range(count):
            file.write(b"From a@b Tue Mar 05 14:00:00 2024\n" + mail.replace(b"<1@", b"<%d@" % number) + b"\n")
    assert path.stat().st_size > 200_000_000
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True, env=os.environ
    )
    found, mb, seconds = map(int, ran.stdout.split())
    assert found == count
    assert mb < 100
    assert seconds < count / 300  # 2000 a second on a quiet machine
