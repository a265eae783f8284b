//! Local processes that outlive the daemon.
