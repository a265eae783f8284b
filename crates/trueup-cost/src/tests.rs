//! Manifests in, bills out.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use trueup_manifest::{FileText, Resolution, parse_file, resolve};
use trueup_types::TargetKind;
use trueup_types::fly::FlySpec;

use super::*;

const TARGET: &str = "apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {name: prod}\nspec: {fly: {organization: ampel, primaryRegion: iad}}\n";

fn resolved(apps: &[(&str, &str)]) -> Resolution {
    let app = |(name, spec): &(&str, &str)| {
        format!(
            "---\napiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{target: prod, image: \"i:1\", {spec}}}\n"
        )
    };
    let text = TARGET.to_owned() + &apps.iter().map(app).collect::<String>();
    let file = parse_file(&FileText { path: "a.yaml".to_owned(), text: text.into() });
    let resolution = resolve(&BTreeMap::from([("a.yaml".to_owned(), Arc::new(file))]), &BTreeMap::new());
    let errors: Vec<_> = resolution.diagnostics.iter().filter(|one| one.is_error()).map(|one| one.line()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    resolution
}

fn bill_with(apps: &[(&str, &str)], prices: &PriceTable) -> Bill {
    let resolution = resolved(apps);
    let spec = |target| -> Option<&FlySpec> {
        match &resolution.targets.get(target)?.kind {
            TargetKind::Fly(spec) => Some(spec),
            TargetKind::Process | TargetKind::Docker(_) => None,
        }
    };
    let placed = resolution.apps.values().filter_map(|app| Some((&*app.desired, spec(&app.desired.placement.target)?)));
    Bill::of(placed, Assumed { rootfs_bytes: 1 << 30 }, prices)
}

fn bill(apps: &[(&str, &str)]) -> Bill {
    bill_with(apps, &PriceTable::built_in())
}

fn spelled(bill: &Bill) -> String {
    let mut text = String::new();
    for account in &bill.apps {
        for line in &account.lines {
            let month = line.month.map_or_else(|| "no price".to_owned(), |month| month.to_string());
            text += &format!("{} {}: {month}\n", account.app, line.what);
        }
    }
    text + &format!("all: {}\n", bill.month)
}

fn check(apps: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&spelled(&bill(apps)));
}

#[test]
fn the_prices_that_the_page_spells_out_come_out_of_the_table() {
    // https://docs.fly.io/about/pricing/, read 2026-10-09: each of these is a line of the page.
    let page = [
        ("cpus: 1, memory: 256Mi", "iad", "$2.19"),
        ("cpus: 1, memory: 512Mi", "iad", "$3.69"),
        ("cpus: 1, memory: 1Gi", "iad", "$6.70"),
        ("cpus: 2, memory: 2Gi", "iad", "$13.39"),
        ("cpuKind: performance, cpus: 1, memory: 2Gi", "iad", "$33.00"),
        ("cpuKind: performance, cpus: 2, memory: 4Gi", "iad", "$66.00"),
        ("cpus: 1, memory: 1Gi", "fra", "$7.73"),
        ("cpus: 1, memory: 1Gi", "sin", "$8.50"),
    ];
    for (resources, region, month) in page {
        let spec = format!("resources: {{{resources}}}, regions: {{{region}: 1}}");
        assert_eq!(bill(&[("web", &spec)]).month.to_string(), month, "{resources} in {region}");
    }
}

#[test]
fn a_second_costs_what_the_calculator_says() {
    let prices = PriceTable::built_in();
    let second = |spec: &str| bill(&[("web", spec)]).month.per_second(prices.month_seconds);
    assert_eq!(second("replicas: 1"), "$0.00000085");
    assert_eq!(second("resources: {cpuKind: performance}"), "$0.00001273");
    assert_eq!(second("autostop: {mode: stop}"), "$0.00000006 to $0.00000085");
}

#[test]
fn machines_volumes_addresses_and_certificates_are_lines() {
    check(
        &[
            (
                "api",
                "resources: {memory: 512Mi}, regions: {iad: 2, fra: 1}, ports: [{port: 8080}], routes: [{}, {host: api.example.com}]",
            ),
            ("db", "resources: {memory: 1Gi}, volumes: [{name: data, path: /data, size: 10Gi}]"),
        ],
        expect![[r#"
            api 1 × shared-cpu-1x, 512 MiB, in fra: $4.26
            api 2 × shared-cpu-1x, 512 MiB, in iad: $7.39
            api shared IPv4 and an IPv6 address: $0.00
            api certificate of api.example.com, one of those that are free: $0.00
            db 1 × shared-cpu-1x, 1 GiB, in iad: $6.70
            db 1 × volume data, 10 GiB: $1.50
            all: $19.85
        "#]],
    );
}

#[test]
fn what_may_sleep_costs_its_root_file_system_at_least() {
    check(
        &[
            ("all", "replicas: 2, autostop: {mode: stop}"),
            ("none", "replicas: 2, autostop: {mode: \"off\"}"),
            ("some", "regions: {iad: 3, fra: 1}, autostop: {mode: suspend, minRunning: 2}"),
        ],
        expect![[r#"
            all 2 × shared-cpu-1x, 256 MiB, in iad, may sleep: $0.00 to $4.39
            all root file systems of 2 while asleep, 1 GiB each: $0.00 to $0.30
            none 2 × shared-cpu-1x, 256 MiB, in iad: $4.39
            some 1 × shared-cpu-1x, 256 MiB, in fra, may sleep: $0.00 to $2.53
            some 3 × shared-cpu-1x, 256 MiB, in iad, 1 may sleep: $4.39 to $6.58
            some root file systems of 2 while asleep, 1 GiB each: $0.00 to $0.30
            all: $9.38 to $17.89
        "#]],
    );
}

#[test]
fn an_organisation_has_ten_certificates_for_nothing() {
    let hosts = |name: &str, count: u32| {
        let routes: Vec<_> = (0..count).map(|n| format!("{{host: {name}{n}.example.com}}")).collect();
        format!("replicas: 0, ports: [{{port: 8080}}], routes: [{}]", routes.join(", "))
    };
    let (first, second) = (hosts("a", 7), hosts("b", 5));
    let bill = bill(&[("first", &first), ("second", &second)]);
    assert_eq!(bill.apps[0].month.to_string(), "$0.00");
    assert_eq!(bill.apps[1].month.to_string(), "$0.20");
}

#[test]
fn a_region_without_a_price_is_said_so_and_not_guessed() {
    let bill = bill(&[("web", "regions: {iad: 1, xyz: 4}")]);
    let unpriced: Vec<_> = bill.apps[0].unpriced().map(|line| line.what.as_str()).collect();
    assert_eq!(unpriced, ["4 × shared-cpu-1x, 256 MiB, in xyz"]);
    assert_eq!(bill.month.to_string(), "$2.19");
}

#[test]
fn a_rollout_costs_the_machines_beside_through_the_bake() {
    let web = |rollout: &str| format!("replicas: 2, resources: {{cpuKind: performance}}, rollout: {{{rollout}}}");
    let rollout = |rollout: &str| bill(&[("web", &web(rollout))]).apps[0].rollout.to_string();
    // Two machines for a day each, of thirty.
    assert_eq!(rollout("strategy: blueGreen, bake: 1d"), "$2.20");
    assert_eq!(rollout("strategy: rolling, bake: 1d"), "$1.10");
    assert_eq!(rollout("strategy: blueGreen, bake: 1m"), "$0.00");
}

#[test]
fn what_becomes_dearer_has_a_sign() {
    let month = |spec: &str| bill(&[("web", spec)]).month;
    let (one, two, sleeps) = (month("replicas: 1"), month("replicas: 2"), month("replicas: 2, autostop: {mode: stop}"));
    assert_eq!(Change::of(one, two).to_string(), "+$2.19 / month");
    assert_eq!(Change::of(two, one).to_string(), "-$2.19 / month");
    assert_eq!(Change::of(two, sleeps).to_string(), "-$4.09 to $0.00 / month");
    assert_eq!(Change::of(one, sleeps).to_string(), "-$1.89 to +$2.19 / month");
    assert!(!Change::of(one, one).shows());
}

#[test]
fn a_table_of_ones_own_is_held_to_its_shape() {
    let text = PriceTable::built_in_text();
    let mine = text.replace("{usdPerGibSecond: 0.000002316, source: page}", "{usdPerGibSecond: 0, source: page}");
    let prices = PriceTable::parse(&mine).expect("it is sound");
    assert_eq!(bill_with(&[("web", "resources: {memory: 2Gi}")], &prices).month.to_string(), "$2.19");
    let wrong = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        PriceTable::parse(&text.replace(from, to)).expect_err(to).to_string()
    };
    assert_eq!(wrong("iad: {markup: 1,", "iad: {markup: -1,"), "`regions.iad` is -1, which is no price");
    let source = wrong("ewr: {markup: 1, source: page}", "ewr: {markup: 1, source: hearsay}");
    assert_eq!(source, "`regions.ewr` names the source `hearsay`, which is not among `sources`");
    assert_eq!(wrong("currency: USD", "currency: EUR"), "its currency is `EUR`; only USD is served");
    assert!(wrong("rootfs:", "rotfs:").contains("unknown field `rotfs`"));
    assert!(wrong("monthSeconds: 2592000", "monthSeconds: 0").contains("monthSeconds"));
}

#[test]
fn each_price_says_where_and_when_it_was_read() {
    let prices = PriceTable::built_in();
    assert!(prices.sources.values().all(|source| source.url.starts_with("https://") && source.read.len() == 10));
    assert_eq!(prices.date, prices.sources["page"].read);
}
