"""The bytes of a mail, as RFC 5322 and MIME have it, into a Letter; what is wrong in them costs little.

Python's parser with the old policy `compat32`: the new one parses addresses while a field is looked at, which takes
most of the time for a mail and, on odd ones, raises what no caller expects. So fields are decoded here.
"""

from __future__ import annotations

import binascii
import codecs
import email.policy
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from email.message import Message
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from urllib.parse import unquote_to_bytes

from openbook.errors import ReadError
from openbook.readers.html import DECLARED
from openbook.readers.limits import DEEPEST
from openbook.readers.mail_documents import SUFFIX_OF, Attachment, Letter, is_placeholder
from openbook.readers.strings import one_line, reason

LARGEST = 150 << 20  # bytes of a mail; servers take 50 MB at most, Outlook 150
MOST_PARTS = 10_000  # a mail has a few; each costs time

# RFC 2047, as it is found rather than as it should be: '?=' may be missing, spaces may be in it.
WORD = re.compile(r"=\?([\w.:-]+)(?:\*[\w-]*)?\?([bq])\?([^?\n]*)(?:\?=|$)", re.IGNORECASE)
BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[\w.:-]+(?:\*[\w-]*)?\?[bq]\?)", re.IGNORECASE)

# What is written for what is meant (WHATWG's table says the same), and codecs that no mail is in.
MEANT = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "",
    "ascii": "",
    "ansi_x3.4-1968": "",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "iso-8859-8-i": "iso-8859-8",
    "unicode-1-1-utf-7": "utf-7",
    "x-mac-roman": "mac-roman",
    "utf8mb4": "utf-8",
}
NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "unicode-escape"})
HEAD_SAMPLE = 2048  # bytes in which a page says its charset, where the mail does not

PARTING = re.compile(r"^--([\w'()+,./:=?-]{1,70})[ \t]*\r?\n(?:content-[\w-]+:|\r?\n)", re.IGNORECASE | re.MULTILINE)
PAGES = frozenset({"text/html", "text/enriched", "text/richtext"})  # all have <tags>
NO_WORDS = frozenset(
    {
        "text/calendar",
        "text/vcard",
        "text/x-vcard",
        "text/directory",
        "text/css",
        "text/javascript",
        "text/x-amp-html",
        "text/rfc822-headers",
    }
)

SECRET = {
    "multipart/encrypted": "is encrypted: its words were not read. Decrypt it in your mail program and save it again.",
    "application/pkcs7-mime": (
        "is encrypted or signed with S/MIME: its words were not read. Save it decrypted from your mail program."
    ),
}
SECRET["application/x-pkcs7-mime"] = SECRET["application/pkcs7-mime"]


# What the standard library's parser raised when its input was cut and changed at random; AssertionError and
# RecursionError come from parts that lie in each other.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)


class NoMailError(ReadError):
    """These bytes are no mail; the message is the end of a sentence that begins with the mail's source."""


def parsed(content: bytes) -> Message:
    """The parts of a mail, or of what is stored like one. Raises: one of DAMAGE."""
    return BytesParser(policy=email.policy.compat32).parsebytes(content)


def letter_of(content: bytes) -> Letter:
    """The mail that these bytes are.

    Raises:
        NoMailError: There is no field of a mail in them, or the parser gives up.
    """
    if len(content) > LARGEST:
        raise NoMailError(f"has more than {LARGEST >> 20} MB. Split it, or save its attachments and add them.")
    try:
        message = parsed(_as_8_bit(content))
        if not message.keys():
            raise NoMailError("has no head ('From:', 'Subject:', ...) as a mail has. Check how it was saved.")
        return _letter(message, 0)
    except DAMAGE as error:
        raise NoMailError(f"is damaged ({reason(error)}). Export it again.") from error


def _as_8_bit(content: bytes) -> bytes:
    """A mail saved as text by an editor, in UTF-16 or with a byte order mark, as it was before."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = content.decode("utf-16", "replace").encode()
    return content.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")


def _letter(message: Message, depth: int) -> Letter:
    letter = head_of(message)
    left = [MOST_PARTS]
    if message.get_content_maintype() == "text" and not message.is_multipart():
        letter.bodies = [_body(message)]  # whatever its name: there is nothing else
    else:
        letter.bodies = _pieces(message, letter, depth, left)
    if left[0] < 0:
        letter.unread.append(f"has more than {MOST_PARTS:,} parts: those after them were not read.")
    return letter


def head_of(message: Message) -> Letter:
    """The Letter of a mail's fields alone."""
    fields: dict[str, str] = {}
    for name, value in message.raw_items():
        fields.setdefault(name.lower(), str(value))

    def said(name: str) -> str:
        return words(fields[name]) if name in fields else ""

    date = date_of(fields.get("date", "")) or date_of(fields.get("received", "").rpartition(";")[2])
    return Letter(
        subject=said("subject"),
        sender=address(said("from") or said("sender")),
        to=address(said("to") or said("delivered-to")),
        cc=address(said("cc")),
        date=date,
        message_id=said("message-id").strip("<> "),
        in_reply_to=said("in-reply-to").strip("<> "),
        labels=said("x-gmail-labels"),
    )


def date_of(value: str) -> datetime | None:
    """The moment a field names, in the zone it was written in, or None."""
    try:
        date = parsedate_to_datetime(value.strip()) if value.strip() else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date and 1970 <= date.year <= 2200 else None  # others are a clock that was not set


def address(said: str) -> str:
    """Addresses without the quotes around names.

    >>> address('"Berg, Anna" <anna@berg.example>')
    'Berg, Anna <anna@berg.example>'
    """
    return re.sub(r'"((?:[^"\\]|\\.)*)"(?=\s*(?:<|$))', lambda found: re.sub(r"\\(.)", r"\1", found[1]), said)


def words(value: str) -> str:
    """A field's words: encoded ones (RFC 2047) and plain 8-bit ones decoded, in one line.

    >>> words("=?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?IGF1cw==?= Bonn")
    'Grüße aus Bonn'
    """
    if not value.isascii():
        raw = value.encode("utf-8", "surrogateescape")
        value = characters(raw, "utf-8")
    if "=?" not in value:
        return one_line(value)
    pieces: list[tuple[str, bytes | str]] = []  # charset and bytes, or '' and characters
    at = 0
    value = BETWEEN_WORDS.sub(r"\1", " ".join(value.split()))
    for found in WORD.finditer(value):
        if found.start() > at:
            pieces.append(("", value[at : found.start()]))
        raw = _decoded_word(found[2].lower(), found[3])
        # A character may be cut into two words: their bytes belong together.
        if pieces and pieces[-1][0] == found[1].lower() and isinstance(before := pieces[-1][1], bytes):
            pieces[-1] = (pieces[-1][0], before + raw)
        else:
            pieces.append((found[1].lower(), raw))
        at = found.end()
    pieces.append(("", value[at:]))
    return one_line("".join(said if isinstance(said, str) else characters(said, charset) for charset, said in pieces))


def _decoded_word(how: str, text: str) -> bytes:
    raw = text.encode("ascii", "ignore")
    if how == "q":
        return binascii.a2b_qp(raw, header=True)
    return _base64(raw)


def _base64(raw: bytes) -> bytes:
    """As many bytes as there are, padding or not."""
    raw = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    if len(raw) % 4 == 1:  # one character is no byte
        raw = raw[:-1]
    return b64decode(raw + b"=" * (-len(raw) % 4))


def characters(content: bytes, charset: str) -> str:
    """Characters of bytes in the charset that is said, if they are in it; else as UTF-8, else as Western European."""
    charset = charset.strip().strip("\"'").lower()
    charset = MEANT.get(charset, charset)
    if charset in NO_CHARSETS or "\0" in charset:
        charset = ""
    for name in (charset, "utf-8"):
        try:
            if name:
                return content.decode(name)
        except (LookupError, ValueError):  # unknown, no text encoding, or other bytes
            pass
    text = content.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    if 10 * bad < len(content) - len(text):  # a few bad bytes in much UTF-8
        return text
    try:
        return content.decode("cp1252" if codecs.lookup(charset).name == "utf-8" else charset, "replace")
    except (LookupError, ValueError):
        return content.decode("cp1252", "replace")


def _pieces(part: Message, letter: Letter, depth: int, left: list[int]) -> list[tuple[str, str]]:
    """Texts that are the mail's own words, in order; attachments go into the letter."""
    left[0] -= 1
    if left[0] < 0:
        return []
    kind = part.get_content_type()
    if kind in SECRET and "signed-data" not in str(part.get("content-type", "")):
        letter.unread.append(SECRET[kind])
        return []
    if kind == "message/rfc822" or (kind.startswith("message/") and kind.endswith("global")):
        _attach_letter(part, letter, depth)
        return []
    if part.is_multipart():
        children = [child for child in part.get_payload() if isinstance(child, Message)]
        if kind == "multipart/alternative":
            return _best([_pieces(child, letter, depth, left) for child in children])
        found = [_pieces(child, letter, depth, left) for child in children]
        if kind == "multipart/related":  # a page, then its pictures and frames
            return next(filter(None, found), [])
        return [piece for pieces in found for piece in pieces]
    if kind.startswith("multipart/"):  # its head does not say what parts its parts, or not right
        again = _parted(str(part.get_payload()))
        return _pieces(again, letter, depth, left) if again else [("plain", body_text(part))]
    return _leaf(part, kind, letter)


def _parted(text: str) -> Message | None:
    """A multipart by the first line in it that looks as if it parted it, or None."""
    found = PARTING.search(text)
    if not found:
        return None
    head = f'Content-Type: multipart/mixed; boundary="{found[1]}"\n\n'
    again = parsed(head.encode() + text.encode("utf-8", "surrogateescape"))
    return again if again.is_multipart() else None


def _leaf(part: Message, kind: str, letter: Letter) -> list[tuple[str, str]]:
    name = name_of(part)
    attached = part.get_content_disposition() == "attachment"
    if kind.startswith("text/") and kind not in NO_WORDS and not attached and not name:
        return [_body(part)]
    if not (name or attached or kind in SUFFIX_OF):
        return []
    pictured = bool(part.get("content-id")) and kind.startswith("image/") and not attached
    attachment = Attachment(name, kind, b"", shown=not pictured)
    if attachment.readable:  # a film need not be decoded
        attachment = replace(attachment, content=content_of(part))
    letter.attachments.append(attachment)
    return []


def _body(part: Message) -> tuple[str, str]:
    return "html" if part.get_content_type() in PAGES else "plain", body_text(part)


def _best(alternatives: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """The plain text, unless it only says that there is a page; then the page."""
    filled = [pieces for pieces in alternatives if any(text.strip() for _, text in pieces)]
    pages = [pieces for pieces in filled if any(kind == "html" for kind, _ in pieces)]
    plain = [pieces for pieces in filled if all(kind == "plain" for kind, _ in pieces)]
    if plain and pages:
        html = next(text for kind, text in pages[-1] if kind == "html")
        if is_placeholder("\n".join(text for _, text in plain[0]), html):
            return pages[-1]
    return plain[0] if plain else filled[-1] if filled else []


def _attach_letter(part: Message, letter: Letter, depth: int) -> None:
    payload = part.get_payload()
    if isinstance(payload, str):  # encoded as a whole, which RFC 2046 does not allow and some do
        payload = [parsed(content_of(part))]
    if depth >= DEEPEST:
        letter.unread.append(f"holds mails in mails, more than {DEEPEST} deep: the deeper ones were not read.")
        return
    letter.letters += [
        _letter(attached, depth + 1) for attached in payload if isinstance(attached, Message) and attached.keys()
    ]


def name_of(part: Message) -> str:
    """An attachment's file name, however it is encoded, or ''."""
    for header, parameter in (("content-disposition", "filename"), ("content-type", "name")):
        try:
            found = _in_characters(part, header).get_param(parameter, None, header)
        except (ValueError, TypeError, IndexError, AttributeError):  # RFC 2231's pieces, numbered wrong
            continue
        if isinstance(found, tuple):
            charset, _, value = found
            return (
                one_line(characters(unquote_to_bytes(value), charset or "utf-8")) if "%" in value else _rfc2231(found)
            )
        if found:
            return words(str(found))
    return ""


def _in_characters(part: Message, header: str) -> Message:
    """The part, or one with this field alone when it has 8-bit characters, which Python's parser gives up."""
    raw = next((str(value) for name, value in part.raw_items() if name.lower() == header), "")
    if raw.isascii():
        return part
    decoded = Message()
    decoded[header] = characters(raw.encode("utf-8", "surrogateescape"), "utf-8")
    return decoded


def _rfc2231(found: tuple[str | None, str | None, str]) -> str:
    charset, _, value = found
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        return one_line(collapse_rfc2231_value(found, "replace"))
    return one_line(characters(raw, charset or "utf-8"))


def content_of(part: Message) -> bytes:
    """A part's bytes, decoded as far as they can be."""
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def body_text(part: Message) -> str:
    """A part's characters."""
    content = content_of(part)
    charset = str(part.get_param("charset", "") or "") if not _odd_charset(part) else ""
    if not charset and part.get_content_type() == "text/html" and (found := DECLARED.search(content[:HEAD_SAMPLE])):
        charset = found[1].decode("ascii", "replace")
    text = characters(content, charset)
    if str(part.get_param("format", "") or "").lower() == "flowed" and part.get_content_type() == "text/plain":
        return flowed(text, delete_space=str(part.get_param("delsp", "") or "").lower() == "yes")
    return text


def _odd_charset(part: Message) -> bool:
    return isinstance(part.get_param("charset", ""), tuple)


def flowed(text: str, *, delete_space: bool = False) -> str:
    r"""Lines of RFC 3676's format=flowed joined to paragraphs, quotations apart.

    >>> flowed("One \r\nfish.\r\n> Two \r\n> fish.\r\n-- \r\nAnna")
    'One fish.\n> Two fish.\n-- \nAnna'
    """
    joined: list[str] = []
    parts: list[str] = []  # of the line that is being joined
    depth = -1  # its quotes; -1: it is complete
    for line, quotes in _unstuffed(text):
        if parts and (depth != quotes or line == "-- "):
            joined.append("".join(parts))
            parts = []
        if not parts and quotes:
            parts.append(">" * quotes + " ")
        soft = line.endswith(" ") and line != "-- "
        parts.append(line[:-1] if soft and delete_space else line)
        depth = quotes
        if not soft:
            joined.append("".join(parts))
            parts, depth = [], -1
    if parts:
        joined.append("".join(parts))
    return "\n".join(joined)


def _unstuffed(text: str) -> Iterator[tuple[str, int]]:
    for line in text.replace("\r\n", "\n").split("\n"):
        bare = line.lstrip(">")
        yield bare.removeprefix(" "), len(line) - len(bare)
