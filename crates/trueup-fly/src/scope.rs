//! What the token is good for: all of the organisation, or single apps of it.
//!
//! A token for one app (`fly tokens create deploy`) opens no listing of an organisation. Where that is refused, the platform
//! is asked what the token is for, and each of those apps is then looked at by itself. An app of ours that the token does not open
//! cannot be seen: then all is dark, as with any listing that is not whole.

use std::collections::BTreeSet;

use crate::api::CurrentToken;
use crate::client::Call;
use crate::fault::Fault;
use crate::runtime::Inner;
use crate::survey::LOOK;

impl Inner {
    /// The only apps that the token opens, where it is for single ones and that is known.
    pub(crate) fn only_apps(&self) -> Option<BTreeSet<String>> {
        self.scope.lock().expect("no holder panics").clone()
    }

    /// The token opens the whole organisation.
    pub(crate) fn opens_all(&self) {
        *self.scope.lock().expect("no holder panics") = None;
    }

    /// The apps that a token opens which did not open the organisation.
    ///
    /// # Errors
    /// In words, where it is not for single apps, or not for all of ours.
    pub(crate) async fn apps_of_token(&self, refused: &Fault) -> Result<BTreeSet<String>, String> {
        let org = &self.settings.organization;
        let call = Call::get("CurrentToken_show", org.as_str(), "/v1/tokens/current".to_owned()).within(LOOK);
        let told: CurrentToken =
            self.client.read(call).await.map_err(|fault| format!("what the token is for: {fault}"))?;
        let opened: BTreeSet<_> = told.tokens.into_iter().flat_map(|token| token.apps.unwrap_or_default()).collect();
        if opened.is_empty() {
            return Err(format!("the organisation's machines: {refused}"));
        }
        let homes = self.memory.look(|kept| kept.homes.clone());
        if let Some((app, home)) = homes.iter().find(|(_, home)| !opened.contains(&home.fly)) {
            let theirs: Vec<_> = opened.iter().map(String::as_str).collect();
            return Err(format!(
                "the token is for {} alone, and {app} is {} there: use a token of the organisation (`fly tokens create org {org}`), or a target for each app",
                theirs.join(", "),
                home.fly
            ));
        }
        *self.scope.lock().expect("no holder panics") = Some(opened.clone());
        Ok(opened)
    }
}
