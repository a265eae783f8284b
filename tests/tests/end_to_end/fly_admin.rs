//! A client that is not of this house, on the simulated Fly: the package `fly-admin`, which others run against the real one.

use std::process::Command;

use trueup_tests::{Bench, Fly};

/// The one that the simulation was read against.
const PACKAGE: &str = "fly-admin@1.6.1";

/// A machine's whole life, by the package's own words; what comes out otherwise than it should is thrown.
const LIFE: &str = r#"
const assert = require("node:assert");
const Client = require("fly-admin/dist/client").default;
const url = process.argv[1];
const client = new Client("any", { apiUrl: url, graphqlUrl: url });
const app_name = "by-another-client";

(async () => {
  await client.App.createApp({ app_name, org_slug: "personal" });
  assert.strictEqual((await client.App.getApp(app_name)).name, app_name);
  const config = { image: "demo:v1", services: [] };
  const made = await client.Machine.createMachine({ app_name, name: "one", region: "iad", config });
  const machine_id = made.id, of = { app_name, machine_id };
  const listed = async () => (await client.Machine.listMachines(app_name)).map((machine) => machine.id);
  const state = async () => (await client.Machine.getMachine(of)).state;
  assert.deepStrictEqual(await listed(), [machine_id]);
  const wait = (state) => client.Machine.waitMachine({ ...of, state, timeout: "60s", instance_id: made.instance_id });

  assert.strictEqual((await wait("started")).ok, true);
  assert.strictEqual(await state(), "started");
  await assert.rejects(client.Machine.deleteMachine(of), /not currently stopped/);
  assert.strictEqual((await client.Machine.stopMachine(of)).ok, true);
  assert.strictEqual((await wait("stopped")).ok, true);
  assert.strictEqual(await state(), "stopped");
  // What has just stopped refuses to start for a moment.
  for (let tries = 0; ; tries++) {
    try { await client.Machine.startMachine(of); break; } catch (error) {
      if (tries > 100 || !/still active/.test(error.message)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  assert.strictEqual((await wait("started")).ok, true);
  assert.strictEqual((await client.Machine.listEvents(of))[0].type, "start");
  assert.strictEqual((await client.Machine.deleteMachine({ ...of, force: true })).ok, true);
  await wait("destroyed").catch((error) => assert.match(error.message, /404/));
  assert.deepStrictEqual(await listed(), []);
  await client.App.deleteApp(app_name);
  await assert.rejects(client.App.getApp(app_name), /404/);
  console.log("a whole life");
})().catch((error) => { console.error(error); process.exit(1); });
"#;

/// The folder in which the package is; `None`, said loudly, where it cannot be had, which under `CI=true` is a failure.
fn installed(bench: &Bench) -> Option<std::path::PathBuf> {
    let folder = bench.path("client");
    std::fs::create_dir(&folder).expect("a folder");
    let words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", PACKAGE, "--prefix"];
    let why = match Command::new("npm").args(words).arg(&folder).output() {
        Ok(output) if output.status.success() => return Some(folder),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "npm does not bring {PACKAGE}: {why}");
    println!("LEFT OUT: another client on the simulated Fly, since npm does not bring {PACKAGE}: {why}");
    None
}

#[test]
fn a_client_of_somebody_else_makes_finds_stops_starts_awaits_and_destroys_a_machine() {
    let bench = Bench::new();
    let Some(folder) = installed(&bench) else { return };
    let fly = Fly::start(&bench, &["--speed", "20"]);
    let output = Command::new("node").args(["-e", LIFE, &fly.base]).current_dir(&folder).output().expect("node runs");
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim() == "a whole life", "{said}{talk}");
}
