"""Everything that `data prepare` can read, as videos that are opened one at a time."""
