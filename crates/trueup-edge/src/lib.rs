//! The built-in reverse proxy: makes a whole route table true.
