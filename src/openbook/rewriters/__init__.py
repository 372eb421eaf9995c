"""a question and what was said before it -> what to search for."""

from openbook.registry import Entry

ENTRIES = {
    "followup": Entry(
        "openbook.rewriters.followup:FollowUp",
        "the model writes a follow-up question so that it stands alone; no call where it does already",
    ),
    "previous": Entry(
        "openbook.rewriters.previous:Previous", "searches for the question, and for it with the one before; no model"
    ),
    "none": Entry("openbook.rewriters.none:Nothing", "the question as it was typed"),
}
