//! What apps cost on a platform that bills.
//!
//! Whoever has read the manifests hands over the apps, each with its target, and gets a [`Bill`]: lines, sums, and what could
//! not be told. Prices come from a dated [`PriceTable`], the one that is built in or another in its shape; each has a source.
//!
//! Pure: knows no files, no network and no clock. It reads what is wanted, never what is there.

mod bill;
mod guest;
mod money;
mod table;

#[cfg(test)]
mod tests;

pub use bill::{Account, Assumed, Bill, Kind, Line};
pub use money::{Change, Dollars, Span};
pub use table::{NotCounted, PriceTable, PriceTableError, Source};
