//! A world in memory, with faults and a clock turned by hand; and the contract that every adapter keeps.
//!
//! [`World`] holds targets, instances, one ingress, one store and one source, and hands out the traits of
//! `trueup-seams` over them. Instances behave as their template's environment says ([`Behaviour`]), so that a release is
//! good or bad by what it carries, as in life. Faults are scripted or drawn from a seed ([`Faults`]). Time is tokio's
//! own, so a paused runtime jumps to the next wake.
//!
//! [`contract`] is the suite that runs against every runtime and ingress, real or simulated.
//!
//! [`House`] puts a whole daemon into it.
//!
//! Knows nothing of the network or of files.

pub mod behaviour;
pub mod clock;
pub mod contract;
pub mod desired;
pub mod faults;
pub mod house;
pub mod ignorance;
pub mod ingress;
pub mod laws;
mod pace;
mod pulse;
pub mod runtime;
pub mod shapes;
pub mod source;
pub mod store;
pub mod tether;
pub mod world;

pub use behaviour::Behaviour;
pub use clock::SimClock;
pub use desired::AppSketch;
pub use faults::{CallFault, Faults, SightFault};
pub use house::{Guest, House, RuntimeParts};
pub use ingress::SimIngress;
pub use pace::Pace;
pub use runtime::SimRuntime;
pub use source::SimSource;
pub use store::SimStore;
pub use tether::{Call, CallKind, Cut, Moment, Tether, Tethered};
pub use world::World;
