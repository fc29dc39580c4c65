"""Pure values: msgspec Structs and the standard library, no I/O."""
