//! Who asks: both schemes of the header, and what a token is good for.

use sha2::{Digest as _, Sha256};

use crate::call::{Asked, Refusal};
use crate::cloud::Cloud;
use crate::knobs::Token;

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bearer {
    /// Short, and no secret.
    pub id: String,
    /// What it is good for; everything where no tokens are named.
    pub known: Option<Token>,
    /// Whose it is called on leases.
    pub owner: String,
}

impl Cloud {
    /// Reads the header of a request.
    ///
    /// # Errors
    /// 401 when there is none, or none that is known.
    pub(crate) fn authenticate(&self, asked: &Asked) -> Result<Bearer, Refusal> {
        let refused = || Refusal::new(401, "Authenticate: token validation error");
        let header = asked.headers.get("authorization").ok_or_else(refused)?;
        let tokens = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("FlyV1 ")).ok_or_else(refused)?;
        // A token that already carries its scheme is a common mistake, and is refused as such.
        if tokens.trim().is_empty() || tokens.contains(' ') {
            return Err(refused());
        }
        let known = if self.knobs.tokens.is_empty() {
            None
        } else {
            let fits = |token: &&Token| tokens.split(',').any(|part| part.trim() == token.token);
            Some(self.knobs.tokens.iter().find(fits).cloned().ok_or_else(refused)?)
        };
        let digest = Sha256::digest(tokens.as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let owner =
            format!("{}-{}-{}-{}-{}@tokens.fly.io", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        Ok(Bearer { id: hex[..12].to_owned(), known, owner })
    }
}

impl Bearer {
    /// Whether it may see an organisation.
    pub(crate) fn sees(&self, org: &str) -> bool {
        self.known.as_ref().is_none_or(|token| token.org == org)
    }

    /// Whether it is good for all of an organisation that it sees.
    pub(crate) fn is_whole(&self) -> bool {
        self.known.as_ref().is_none_or(|token| token.app.is_none())
    }

    /// Whether it may touch an app of an organisation.
    pub(crate) fn may(&self, app: &str, org: &str) -> bool {
        self.sees(org) && self.known.as_ref().is_none_or(|token| token.app.as_deref().is_none_or(|only| only == app))
    }

    /// Whether it may read logs.
    pub(crate) fn reads_logs(&self) -> bool {
        self.known.as_ref().is_none_or(|token| token.logs)
    }
}
