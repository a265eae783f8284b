//! Values of secrets, at hand: what a release calls their fingerprint is the key of what was put.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use trueup_seams::Secrets;
use trueup_types::secret::SecretSpec;
use trueup_types::template::EnvFrom;
use trueup_types::{AppName, Inputs, Label, Release, Template};

/// The name of the one secret of these tests.
pub const KEYS: &str = "keys";

#[derive(Default)]
pub struct Vault(Mutex<BTreeMap<String, BTreeMap<String, String>>>);

impl Vault {
    /// Keeps values; answers what a release calls them.
    pub fn put(&self, values: &[(&str, &str)]) -> String {
        let spelled: Vec<_> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let fingerprint = spelled.join(";");
        self.0.lock().expect("no holder panics").insert(fingerprint.clone(), values);
        fingerprint
    }

    pub fn forget(&self) {
        self.0.lock().expect("no holder panics").clear();
    }
}

/// A release with these values of its secret.
pub fn with_secret(release: &Release, fingerprint: &str) -> Release {
    let template = asking(&release.template);
    let inputs = Inputs { secret_fingerprints: inputs(fingerprint), ..release.inputs.clone() };
    let digest = Release::digest_of(trueup_types::TemplateDigest::of(&template), &inputs);
    Release { template, inputs, digest, ..release.clone() }
}

/// A template that asks for the secret.
pub fn asking(template: &Template) -> Template {
    let env_from = vec![EnvFrom { secret: Label::new(KEYS).expect("a name") }];
    Template { env_from, ..template.clone() }
}

pub fn inputs(fingerprint: &str) -> BTreeMap<String, String> {
    [(KEYS.to_owned(), fingerprint.to_owned())].into()
}

impl Secrets for Vault {
    fn read(&self, _: &SecretSpec, _: &Path) -> Result<String, String> {
        Err("nobody reads here".to_owned())
    }

    fn environment(&self, release: &Release) -> Result<BTreeMap<String, String>, String> {
        let kept = self.0.lock().expect("no holder panics");
        let mut all = BTreeMap::new();
        for fingerprint in release.inputs.secret_fingerprints.values() {
            all.extend(kept.get(fingerprint).cloned().ok_or("its values are kept no more")?);
        }
        Ok(all)
    }

    fn mark(&self, value: &str) -> String {
        format!("mark of {}", value.len()) + &value.chars().rev().collect::<String>()
    }

    fn values(&self) -> Arc<BTreeSet<String>> {
        Arc::default()
    }

    fn needed(&self, _: &AppName, _: BTreeSet<String>) {}

    fn sweep(&self) {}
}
