"""Why a question was lost: which step, with evidence."""
