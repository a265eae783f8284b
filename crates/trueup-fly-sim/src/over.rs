//! Settings that are put over those in force: what they do not name stays as it is.

use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Some settings of a kind, known to be sound.
#[derive(Debug, Clone)]
pub struct Over<T> {
    named: Value,
    kind: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Over<T> {
    /// All settings, as they are here.
    ///
    /// # Panics
    /// When they cannot be written as JSON, which no settings of ours do.
    #[must_use]
    pub fn all(settings: &T) -> Self {
        let named = serde_json::to_value(settings).expect("settings are plain data");
        Self { named, kind: PhantomData }
    }

    /// Puts them over the settings in force.
    pub(crate) fn put(&self, settings: &mut T) {
        let mut whole = serde_json::to_value(&*settings).expect("settings are plain data");
        merge(&mut whole, &self.named);
        *settings = serde_json::from_value(whole).expect("sound settings over sound ones are sound");
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Over<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let named = Value::deserialize(reader)?;
        T::deserialize(&named).map_err(D::Error::custom)?;
        Ok(Self { named, kind: PhantomData })
    }
}

/// Puts one value over another: objects merge, everything else replaces.
pub(crate) fn merge(into: &mut Value, over: &Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over.clone(),
    }
}
