//! The settings of a target, as the tests of this crate have them.

use trueup_types::fly::{FlySpec, TokenFrom};
use trueup_types::{Label, Place};

/// Those of a target in which nothing is said but what has to be.
pub(crate) fn settings() -> FlySpec {
    FlySpec {
        organization: Label::new("ampel").expect("a name"),
        primary_region: Place::new("iad").expect("a name"),
        app_name: FlySpec::APP_NAME.to_owned(),
        network: None,
        token_from: TokenFrom::Env(FlySpec::TOKEN.to_owned()),
        api_url: None,
        web_url: None,
        propagation: None,
        flyctl_metadata: false,
    }
}
