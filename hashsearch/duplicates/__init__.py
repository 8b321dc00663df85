"""All near-duplicates of an index: vectors -> pairs -> groups -> the copy to keep -> lists and a page."""
