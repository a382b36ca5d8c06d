"""Keys from before namespacing get their present names: which rule takes a key, the renames, the journal of them."""
