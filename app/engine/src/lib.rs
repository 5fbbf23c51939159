//! Parlor.
