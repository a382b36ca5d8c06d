"""The documented shapes, decoded straight into structs."""
