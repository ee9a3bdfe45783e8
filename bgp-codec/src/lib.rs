//! Zero-copy BGP-4 codec.
