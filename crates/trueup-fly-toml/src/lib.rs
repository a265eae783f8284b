//! fly.toml to manifests, and back.
//!
//! [`import`] is handed the text of a fly.toml, and what is live where somebody looked; it hands on manifests with comments, and
//! a [`Remark`] for everything that is not carried over. [`export`] is handed an app with its target, and hands on a fly.toml
//! whose comments say what each setting saves. Inside, `reader` knows of each key whether anybody asked for it, so that none is
//! dropped in silence: what nobody asked for is a remark.
//!
//! Pure: knows no files, no network, no prices and no clock.

mod checks;
mod export;
mod groups;
mod import;
mod left;
mod live;
mod page;
mod reader;
mod services;
mod settings;
mod toml_page;
mod units;
mod words;

pub use export::{Exported, Savings, export};
pub use import::{FlyTomlError, Imported, Manifest, Options, import, told};
pub use live::{Address, Answers, Live, LiveMachine};
pub use reader::Remark;

#[cfg(test)]
mod tests;
