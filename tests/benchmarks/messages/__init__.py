"""Messages through a broker: ours, and what others would use in its place, by the same loads."""
