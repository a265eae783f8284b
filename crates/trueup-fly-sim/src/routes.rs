//! Which operation a request asks for: one table, by the operations' ids in the specification.

use std::collections::BTreeMap;

use crate::call::{Answer, Asked, Call, decode};
use crate::cloud::Cloud;

/// An operation.
pub(crate) struct Route {
    /// Its id in the specification; ours where it is in none.
    pub id: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    pub does: fn(&mut Cloud, &Call) -> Answer,
}

macro_rules! routes {
    ($($id:ident $method:ident $path:literal $does:ident;)*) => {
        &[$(Route { id: stringify!($id), method: stringify!($method), path: $path, does: Cloud::$does }),*]
    };
}

/// All operations that are simulated.
pub(crate) const ROUTES: &[Route] = routes! {
    Apps_list GET "/v1/apps" list_apps;
    Apps_create POST "/v1/apps" create_app;
    Apps_show GET "/v1/apps/{app}" show_app;
    Apps_delete DELETE "/v1/apps/{app}" delete_app;
    App_create_deploy_token POST "/v1/apps/{app}/deploy_token" deploy_token;
    Machines_list GET "/v1/apps/{app}/machines" list_machines;
    Machines_create POST "/v1/apps/{app}/machines" create_machine;
    Machines_show GET "/v1/apps/{app}/machines/{machine}" show_machine;
    Machines_update POST "/v1/apps/{app}/machines/{machine}" update_machine;
    Machines_delete DELETE "/v1/apps/{app}/machines/{machine}" delete_machine;
    Machines_start POST "/v1/apps/{app}/machines/{machine}/start" start;
    Machines_stop POST "/v1/apps/{app}/machines/{machine}/stop" stop;
    Machines_suspend POST "/v1/apps/{app}/machines/{machine}/suspend" suspend;
    Machines_restart POST "/v1/apps/{app}/machines/{machine}/restart" restart;
    Machines_signal POST "/v1/apps/{app}/machines/{machine}/signal" signal;
    Machines_wait GET "/v1/apps/{app}/machines/{machine}/wait" wait;
    Machines_cordon POST "/v1/apps/{app}/machines/{machine}/cordon" cordon;
    Machines_uncordon POST "/v1/apps/{app}/machines/{machine}/uncordon" uncordon;
    Machines_show_metadata GET "/v1/apps/{app}/machines/{machine}/metadata" show_metadata;
    Machines_update_metadata PUT "/v1/apps/{app}/machines/{machine}/metadata" put_metadata;
    Machines_update_metadata PATCH "/v1/apps/{app}/machines/{machine}/metadata" patch_metadata;
    Machines_get_metadata_key GET "/v1/apps/{app}/machines/{machine}/metadata/{key}" show_metadata_key;
    Machines_upsert_metadata POST "/v1/apps/{app}/machines/{machine}/metadata/{key}" set_metadata_key;
    Machines_delete_metadata DELETE "/v1/apps/{app}/machines/{machine}/metadata/{key}" delete_metadata_key;
    Machines_show_lease GET "/v1/apps/{app}/machines/{machine}/lease" show_lease;
    Machines_create_lease POST "/v1/apps/{app}/machines/{machine}/lease" take;
    Machines_release_lease DELETE "/v1/apps/{app}/machines/{machine}/lease" release;
    Machines_exec POST "/v1/apps/{app}/machines/{machine}/exec" exec;
    Machines_list_processes GET "/v1/apps/{app}/machines/{machine}/ps" processes;
    Machines_list_events GET "/v1/apps/{app}/machines/{machine}/events" list_events;
    Machines_list_versions GET "/v1/apps/{app}/machines/{machine}/versions" list_versions;
    Machines_org_list GET "/v1/orgs/{org}/machines" list_org_machines;
    Volumes_org_list GET "/v1/orgs/{org}/volumes" list_org_volumes;
    Volumes_list GET "/v1/apps/{app}/volumes" list_volumes;
    Volumes_create POST "/v1/apps/{app}/volumes" create_volume;
    Volumes_get_by_id GET "/v1/apps/{app}/volumes/{volume}" show_volume;
    Volumes_update PUT "/v1/apps/{app}/volumes/{volume}" update_volume;
    Volume_delete DELETE "/v1/apps/{app}/volumes/{volume}" delete_volume;
    Volumes_extend PUT "/v1/apps/{app}/volumes/{volume}/extend" extend_volume;
    Volumes_list_snapshots GET "/v1/apps/{app}/volumes/{volume}/snapshots" list_snapshots;
    createVolumeSnapshot POST "/v1/apps/{app}/volumes/{volume}/snapshots" create_snapshot;
    Secrets_list GET "/v1/apps/{app}/secrets" list_secrets;
    Secrets_update POST "/v1/apps/{app}/secrets" update_secrets;
    Secret_get GET "/v1/apps/{app}/secrets/{secret}" show_secret;
    Secret_create POST "/v1/apps/{app}/secrets/{secret}" set_secret;
    Secret_delete DELETE "/v1/apps/{app}/secrets/{secret}" delete_secret;
    App_Certificates_list GET "/v1/apps/{app}/certificates" list_certificates;
    App_Certificates_acme_create POST "/v1/apps/{app}/certificates/acme" ask_certificate;
    App_Certificates_custom_create POST "/v1/apps/{app}/certificates/custom" bring_certificate;
    App_Certificates_show GET "/v1/apps/{app}/certificates/{hostname}" show_certificate;
    App_Certificates_delete DELETE "/v1/apps/{app}/certificates/{hostname}" delete_certificate;
    App_Certificates_check POST "/v1/apps/{app}/certificates/{hostname}/check" check_certificate;
    App_Certificates_acme_delete DELETE "/v1/apps/{app}/certificates/{hostname}/acme" drop_acme;
    App_Certificates_custom_delete DELETE "/v1/apps/{app}/certificates/{hostname}/custom" drop_custom;
    App_IPAssignments_list GET "/v1/apps/{app}/ip_assignments" list_ips;
    App_IPAssignments_create POST "/v1/apps/{app}/ip_assignments" assign_ip;
    App_IPAssignments_delete DELETE "/v1/apps/{app}/ip_assignments/{ip}" release_ip;
    Platform_regions_get GET "/v1/platform/regions" list_regions;
    Platform_placements_post POST "/v1/platform/placements" place;
    CurrentToken_show GET "/v1/tokens/current" current_token;
    graphql POST "/graphql" graphql;
    logs GET "/api/v1/apps/{app}/logs" logs;
    Releases_create POST "/api/v1/releases" create_release;
    Releases_update PATCH "/api/v1/releases/{release}" update_release;
    Releases_list GET "/api/v1/apps/{app}/releases" list_releases;
    Releases_current GET "/api/v1/apps/{app}/releases/current" current_release;
};

/// Names that a path held.
pub(crate) type Names = BTreeMap<&'static str, String>;

/// The operation that a request asks for, and the names in its path.
pub(crate) fn find(asked: &Asked) -> Option<(&'static Route, Names)> {
    let path = asked.path.trim_end_matches('/');
    ROUTES.iter().find_map(|route| {
        let names = (route.method == asked.method).then(|| names(route.path, path))??;
        Some((route, names))
    })
}

fn names(pattern: &'static str, path: &str) -> Option<Names> {
    let mut names = Names::new();
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        let part = parts.next()?;
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !part.is_empty() => {
                names.insert(name, decode(part));
            }
            _ if wanted == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(names)
}
