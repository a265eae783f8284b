//! The proof's own tests: what it would not notice is no proof.

mod bites;
mod corpus;
mod mutation;
mod search;
