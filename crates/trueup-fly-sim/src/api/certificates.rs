//! Certificates: asked for by name, issued once the DNS is as it should be.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agenda::Happening;
use crate::app::{App, Certificate};
use crate::call::{Answer, Call, Refusal, Reply, ok};
use crate::cloud::Cloud;

/// How many certificates a page has where nothing is said, and at most.
const PAGE: (usize, usize) = (25, 500);
/// How long a certificate is good for.
const GOOD_FOR: Duration = Duration::from_secs(90 * 86_400);

impl Cloud {
    fn certificate(&self, call: &Call) -> Result<(&App, &Certificate), Refusal> {
        let app = self.app(call.app())?;
        let found = app.certificates.get(call.name("hostname"));
        found.map(|found| (app, found)).ok_or_else(|| Refusal::new(404, "certificate not found"))
    }

    /// A name's DNS is proven: its certificate is there.
    pub(crate) fn issue(&mut self, app: &str, hostname: &str) {
        let found = self.apps.get_mut(app).and_then(|app| app.certificates.get_mut(hostname));
        if let Some(certificate) = found {
            certificate.proven = true;
        }
    }

    pub(crate) fn list_certificates(&mut self, call: &Call) -> Answer {
        let app = self.app(call.app())?;
        let asked = &call.asked;
        let limit = asked.param("limit").and_then(|text| text.parse().ok()).unwrap_or(PAGE.0).clamp(1, PAGE.1);
        let filter = asked.param("filter").unwrap_or_default();
        let after = asked.param("cursor").unwrap_or_default();
        let all = || app.certificates.values().filter(|found| found.hostname.contains(filter));
        let mut page: Vec<_> = all().filter(|found| found.hostname.as_str() > after).take(limit + 1).collect();
        let next = if page.len() > limit { page[limit - 1].hostname.clone() } else { String::new() };
        page.truncate(limit);
        let list: Vec<_> = page.into_iter().map(summary).collect();
        ok(json!({"certificates": list, "next_cursor": next, "total_count": all().count()}))
    }

    pub(crate) fn ask_certificate(&mut self, call: &Call) -> Answer {
        self.add_certificate(call, false)
    }

    pub(crate) fn bring_certificate(&mut self, call: &Call) -> Answer {
        self.add_certificate(call, true)
    }

    fn add_certificate(&mut self, call: &Call, custom: bool) -> Answer {
        let body = call.asked.read()?;
        let hostname = body.get("hostname").and_then(Value::as_str).unwrap_or_default();
        let has = |name: &str| body.get(name).and_then(Value::as_str).is_some_and(|text| text.contains("-----BEGIN"));
        if custom && !(has("fullchain") && has("private_key")) {
            return Err(Refusal::new(422, "Validation failed: fullchain and private_key must be PEM"));
        }
        self.certify(call.app(), hostname, custom)?;
        let app = self.app(call.app())?;
        Ok(Reply::json(201, detail(app, &app.certificates[hostname])).into())
    }

    pub(crate) fn certify(&mut self, app: &str, hostname: &str, custom: bool) -> Result<(), Refusal> {
        if !hostname.contains('.') || hostname.contains(['/', ' ']) {
            return Err(Refusal::new(422, "Validation failed: hostname is not a valid hostname"));
        }
        let now = self.now;
        let found = self.app_mut(app)?.certificates.entry(hostname.to_owned()).or_insert_with(|| Certificate {
            hostname: hostname.to_owned(),
            acme: false,
            custom: false,
            created: now,
            proven: false,
        });
        found.acme |= !custom;
        found.custom |= custom;
        if let Some(wait) = self.knobs.latency.certificate {
            let what = Happening::Certificate { app: app.to_owned(), hostname: hostname.to_owned() };
            self.agenda.enter(now.after(wait.0), what);
        }
        Ok(())
    }

    pub(crate) fn show_certificate(&mut self, call: &Call) -> Answer {
        let (app, found) = self.certificate(call)?;
        ok(detail(app, found))
    }

    pub(crate) fn check_certificate(&mut self, call: &Call) -> Answer {
        let (app, found) = self.certificate(call)?;
        let mut answer = detail(app, found);
        let known = |name: &str| if found.proven { answer["dns_requirements"][name].clone() } else { json!([]) };
        answer["dns_records"] =
            json!({"a": known("a"), "aaaa": known("aaaa"), "cname": [], "resolved_addresses": known("a")});
        ok(answer)
    }

    pub(crate) fn delete_certificate(&mut self, call: &Call) -> Answer {
        self.certificate(call)?;
        self.app_mut(call.app())?.certificates.remove(call.name("hostname"));
        Ok(Reply::empty(204).into())
    }

    pub(crate) fn drop_acme(&mut self, call: &Call) -> Answer {
        self.drop_part(call, |found| found.acme = false)
    }

    pub(crate) fn drop_custom(&mut self, call: &Call) -> Answer {
        self.drop_part(call, |found| found.custom = false)
    }

    fn drop_part(&mut self, call: &Call, drop: impl Fn(&mut Certificate)) -> Answer {
        self.certificate(call)?;
        let app = self.app_mut(call.app())?;
        let found = app.certificates.get_mut(call.name("hostname"));
        found.into_iter().for_each(drop);
        let (app, found) = self.certificate(call)?;
        ok(detail(app, found))
    }
}

fn status(found: &Certificate) -> &'static str {
    if found.proven { "active" } else { "pending_validation" }
}

fn summary(found: &Certificate) -> Value {
    json!({
        "hostname": found.hostname,
        "configured": found.proven,
        "acme_requested": found.acme,
        "acme_dns_configured": found.proven,
        "acme_alpn_configured": found.proven,
        "acme_http_configured": found.proven,
        "ownership_txt_configured": found.proven,
        "has_custom_certificate": found.custom,
        "has_fly_certificate": found.acme && found.proven,
        "status": status(found),
        "dns_provider": "",
        "created_at": found.created.rfc3339(),
        "updated_at": found.created.rfc3339(),
    })
}

fn detail(app: &App, found: &Certificate) -> Value {
    let of = |v6: bool| -> Vec<&str> {
        let public = app.ips.iter().filter(|ip| ip.ip.contains(':') == v6 && !ip.ip.starts_with("fdaa:"));
        public.map(|ip| ip.ip.as_str()).collect()
    };
    let expires = found.created.after(GOOD_FOR).rfc3339();
    let mut certificates = Vec::new();
    if found.custom {
        certificates.push(json!({"source": "custom", "status": status(found), "created_at": found.created.rfc3339(), "expires_at": expires}));
    }
    if found.acme {
        let issued = if found.proven {
            json!([{"type": "ecdsa", "expires_at": expires, "certificate_authority": "lets_encrypt"}])
        } else {
            json!([])
        };
        certificates.push(json!({"source": "fly", "status": status(found), "created_at": found.created.rfc3339(),
            "expires_at": expires, "issuer": "Let's Encrypt", "issued": issued}));
    }
    let errors = if found.proven {
        json!([])
    } else {
        json!([{"code": "DNS_NOT_CONFIGURED", "message": "DNS records do not point to the app",
            "remediation": "set the A and AAAA records", "timestamp": found.created.rfc3339()}])
    };
    let base = found.hostname.trim_start_matches("*.");
    json!({
        "hostname": found.hostname,
        "configured": found.proven,
        "acme_requested": found.acme,
        "status": status(found),
        "dns_provider": "",
        "certificates": certificates,
        "validation": {"dns_configured": found.proven, "alpn_configured": found.proven, "http_configured": found.proven,
            "ownership_txt_configured": found.proven},
        "dns_requirements": {
            "a": of(false),
            "aaaa": of(true),
            "cname": format!("{}.fly.dev", app.name),
            "acme_challenge": {"name": format!("_acme-challenge.{base}"), "target": format!("{base}.{}.flydns.net", app.id)},
            "ownership": {"name": format!("_fly-ownership.{base}"), "app_value": format!("app-{}", app.id), "org_value": "org-1"},
        },
        "validation_errors": errors,
    })
}
