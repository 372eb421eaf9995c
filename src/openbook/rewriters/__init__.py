"""a question and what was said before it -> what to search for."""

from openbook.registry import Entry

ENTRIES = {
    "followup": Entry(
        "openbook.rewriters.followup:FollowUp",
        "the model writes a follow-up question so that it stands alone; skipped where it does already",
    ),
    "none": Entry("openbook.rewriters.none:Nothing", "the question as it was typed"),
}
