//! Text to desired apps, or a diagnostic that points into the text.
//!
//! The source hands over the texts of files; [`parse_file`] takes each alone, [`resolve`] all of them together. Inside,
//! `scan` finds the places, `yaml` the meaning, `check` holds the two against the tables of `kind`, and `lower` applies
//! profiles and defaults. The same tables give [`schema`] and [`explain`].
//!
//! Pure: knows no files, no clock, no environment, and no runtime.

mod ambiguous;
mod check;
mod diagnostic;
mod diff;
mod explain;
mod field;
mod graph;
mod kind;
mod lower;
mod node;
mod parse;
mod profiles;
mod resolve;
mod rule;
mod scan;
mod schema;
mod spec;
mod suggest;
mod text;
mod units;
mod yaml;

#[cfg(test)]
mod tests;

pub use diagnostic::{ManifestDiagnostic, Severity};
pub use diff::{FieldChange, field_diff};
pub use explain::{Explanation, UnknownPath, explain};
pub use kind::Kind;
pub use parse::{FILE_BYTES_MAX, ParsedFile, parse_file};
pub use profiles::builtin_profiles;
pub use resolve::{Profile, Resolution, ResolvedApp, resolve};
pub use schema::{schema, schemas};
pub use spec::manifest_of;
pub use text::FileText;
pub use units::size;
pub use yaml::{to_json, to_yaml};
