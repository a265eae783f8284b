//! Hands out complete snapshots of a directory of manifests.
