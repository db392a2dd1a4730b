"""General operations on arrays, without astronomy."""
