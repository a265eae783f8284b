//! Secrets: where they are, who asks for them, and what is wrong with either.

use expect_test::expect;

use super::{name, report, resolved};
use crate::Resolution;

fn secret(name: &str, spec: &str) -> String {
    format!("apiVersion: trueup.dev/v1\nkind: Secret\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

fn app(env_from: &str) -> String {
    format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: web}}\nspec: {{profile: worker, command: [serve],\n  envFrom: {env_from}}}\n"
    )
}

fn with(secrets: &[(&str, &str)], env_from: &str) -> Resolution {
    let texts: Vec<_> = secrets.iter().map(|(name, spec)| secret(name, spec)).collect();
    resolved(&[("app.yaml", &app(env_from)), ("secrets.yaml", &texts.join("---\n"))])
}

#[test]
fn a_secret_says_where_its_values_are_and_an_app_asks_for_it_by_name() {
    let resolution = with(
        &[
            ("env", "{fromEnv: {DATABASE_URL: SHOP_DATABASE_URL, TOKEN: TOKEN}}"),
            ("file", "{fromFile: secrets/api.env}"),
            ("exec", "{fromExec: [sops, -d, secrets/api.env]}"),
        ],
        "[{secret: env}, {secret: exec}]",
    );
    let told: String = resolution.secrets.values().map(|spec| format!("{}: {:?}\n", spec.name, spec.from)).collect();
    expect![[r#"
        env: Env({"DATABASE_URL": "SHOP_DATABASE_URL", "TOKEN": "TOKEN"})
        exec: Exec(["sops", "-d", "secrets/api.env"])
        file: File("secrets/api.env")
    "#]]
    .assert_eq(&told);
    let asked: Vec<_> =
        resolution.apps[&name("web")].desired.template.env_from.iter().map(|one| one.secret.as_str()).collect();
    assert_eq!(asked, ["env", "exec"]);
}

#[test]
fn where_the_values_are_is_no_part_of_what_an_instance_is() {
    let digest = |spec: &str| {
        let resolution = with(&[("api", spec)], "[{secret: api}]");
        resolution.apps[&name("web")].desired.template_digest
    };
    assert_eq!(digest("{fromFile: a.env}"), digest("{fromEnv: {A: B}}"));
}

#[test]
fn what_is_wrong_with_a_secret_is_told_where_it_stands() {
    let wrong = [
        ("none", "{}"),
        ("two", "{fromEnv: {A: B}, fromFile: a.env}"),
        ("typo", "{fromEnf: {A: B}}"),
        ("keys", "{fromEnv: {1A: B, A-B: C, C: 'D E'}}"),
        ("empty", "{fromEnv: {}}"),
        ("words", "{fromExec: []}"),
        ("value", "{fromEnv: {A: }}"),
        ("path", "{fromFile: ''}"),
        ("same", "{fromFile: a.env}"),
        ("same", "{fromFile: b.env}"),
    ];
    expect![[r#"
        web from app.yaml
        error manifest::secret::from
          secrets.yaml:3:18: the secret does not say where its values are (write one of `fromEnv`, `fromFile` and `fromExec`)
        error manifest::secret::from
          secrets.yaml:9:25: the secret names 2 places (write one of `fromEnv`, `fromFile` and `fromExec`)
        error manifest::key::unknown
          secrets.yaml:14:8: unknown key `fromEnf` in `spec` (did you mean `fromEnv`?)
        error manifest::text
          secrets.yaml:19:18: `1A` is not made of letters, digits and `_`, or begins with a digit (`1A` takes the name of a variable, like `DATABASE_URL`)
        error manifest::text
          secrets.yaml:19:25: `A-B` is not made of letters, digits and `_`, or begins with a digit (`A-B` takes the name of a variable, like `DATABASE_URL`)
        error manifest::text
          secrets.yaml:19:36: `D E` holds a space (`C` takes the name of a variable, like `RUST_LOG`)
        error manifest::secret::keys
          secrets.yaml:24:8: `fromEnv` names no key (write `{DATABASE_URL: DATABASE_URL}`: the key, and the daemon's variable)
        error manifest::count
          secrets.yaml:29:18: `fromExec` is empty (write at least one item, or leave it out)
        error manifest::type
          secrets.yaml:34:18: `A` has no value (write `""` for an empty text)
        error manifest::text
          secrets.yaml:39:18: `` is empty (`fromFile` takes a path, like `config.toml`)
        error manifest::name::duplicate
          secrets.yaml:43:18: the Secret `same` stands in secrets.yaml:48 as well (rename or remove one: neither is taken, and what runs is kept)
        error manifest::name::duplicate
          secrets.yaml:48:18: the Secret `same` stands in secrets.yaml:43 as well (rename or remove one: neither is taken, and what runs is kept)
        warning manifest::health::none
          app.yaml:4:1: the app has no probes: it counts as healthy once it has run unbroken for `minHealthy` (add `health`, or use a profile that has it)
    "#]].assert_eq(&report(&with(&wrong, "[]")));
}

#[test]
fn an_app_that_asks_for_what_is_not_there_is_refused_and_told_why() {
    let secrets = [("shop-api", "{fromFile: a.env}"), ("wrong", "{}")];
    expect![[r#"
        error manifest::reference
          app.yaml:5:22: there is no secret `shop-app` (did you mean `shop-api`?)
        error manifest::reference
          app.yaml:5:42: the secret `wrong` has errors (mend the secret first)
        error manifest::secret::from
          secrets.yaml:8:18: the secret does not say where its values are (write one of `fromEnv`, `fromFile` and `fromExec`)
    "#]].assert_eq(&report(&with(&secrets, "[{secret: shop-app}, {secret: wrong}]")));
    expect![[r#"
        error manifest::reference
          app.yaml:5:22: there is no secret `other` (add a manifest of `kind: Secret` with `metadata: {name: other}`)
        error manifest::secret::from
          secrets.yaml:8:18: the secret does not say where its values are (write one of `fromEnv`, `fromFile` and `fromExec`)
    "#]].assert_eq(&report(&with(&secrets, "[{secret: other}]")));
    expect![[r#"
        warning manifest::health::none
          app.yaml:4:1: the app has no probes: it counts as healthy once it has run unbroken for `minHealthy` (add `health`, or use a profile that has it)
        error manifest::secret::twice
          app.yaml:5:42: the secret `shop-api` is asked for twice (keep one of them)
    "#]].assert_eq(&report(&with(&secrets[..1], "[{secret: shop-api}, {secret: shop-api}]")));
}
