//! The exhibits.

/// Declares the exhibits: a name, where the bug was seen in life, and what it comes to.
macro_rules! exhibits {
    ($($(#[doc = $doc:literal])+ $name:ident, $seen:literal;)+) => {
        /// One exhibit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Bug {
            /// Every exhibit, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name that `cargo xtask prove --only museum --replay NAME` takes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The system that had it, with the issue where there is one.
            #[must_use]
            pub const fn seen(self) -> &'static str {
                match self { $(Self::$name => $seen),+ }
            }

            /// What it does, in a sentence.
            #[must_use]
            pub const fn story(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

exhibits! {
    // What the planner decides.
    /// A rejected release is tried again at the next look, for ever.
    RetriesRejected, "argo-cd#9570";
    /// A release that failed is reverted again within the same edit, back and forth.
    RevertsTwice, "swarmkit#1331, nomad#3525";
    /// A release counts as good as soon as it is up; when it turns bad there is no way back.
    PromotesUnbaked, "Helm, which marks a release deployed before anything of it is ready";
    /// A crash within the watch after promotion goes unseen.
    MissesCrashInBake, "moby#37972";
    /// A failure that old and new share, such as a database that is down, is blamed on the new release.
    BlamesWhatBothSuffer, "nomad#10881";
    /// A revert replaces the healthy instances of the good release by new ones of the same.
    RevertReplacesHealthy, "moby#34111, moby#43081";
    /// A revert takes down what serves before the good instances are back.
    RevertKillsFirst, "nomad#3836";
    /// A revert asks for the permits of a new rollout, and waits while the bad release serves.
    RevertWaitsForPermits, "nomad#10882";
    /// The limits of an update are not asked: all old instances go at once.
    IgnoresUpdateLimits, "nomad#14200";
    /// A rollback without a number goes to the release before, good or not.
    RollsBackToBad, "helm#5237";
    /// A person's rollback is undone at the next look, since the manifest still says otherwise.
    UndoesRollback, "argo-cd#15588";
    /// A rollback holds for ever, whatever is committed after it.
    PinOutlivesEdit, "argo-cd#9570: after a rollback auto-sync stays off";
    /// An edit has to wait until the rollout that it makes moot has ended.
    FinishesSuperseded, "argo-cd#11494";
    /// Every look at a dead instance counts its exit once more.
    CountsExitTwice, "Sieve: a condition that assumes that the last pass finished";
    /// Time in which nobody could look counts toward a deadline.
    CountsTheDark, "nomad#3525: a storm of failed deployments after a network split";
    /// One good answer is enough, however short it holds.
    IgnoresMinHealthy, "Kubernetes, whose minReadySeconds is 0 unless set";
    /// What is still coming up counts as ready.
    CountsUnreadyAsReady, "nomad#6864";
    /// What was never asked counts as ready.
    TakesUnknownForReady, "kubernetes#135795";
    /// After a restart of the daemon everything counts as down until it is asked again.
    TakesUnknownForFailing, "kubernetes#100277";
    /// When no instance passes, all are taken out of the routes.
    UnroutesEverybody, "load balancers without a panic threshold, such as Envoy has";
    /// Instances are stopped though requests are still in flight to them.
    ForgetsInFlight, "Kubernetes, hence preStop hooks that sleep";
    /// One request that never ends keeps an instance for ever.
    DrainsForever, "HAProxy and nginx workers that outlive a reload for one WebSocket";
    /// Instances are stopped while the routes still name them.
    StopsRouted, "Kubernetes: a pod is told to stop while endpoints still name it";
    /// All new instances come up at once, beyond the surge.
    SurgesUnbounded, "moby#41804";
    /// The order of a listing, or a thing listed twice, changes what is decided.
    TrustsListingOrder, "Sieve: an unstable list order taken for stable";
    /// An instance is known by its name alone: another thing under the same name is taken for it.
    KnowsByNameOnly, "Sieve: identity by name instead of UID";
    /// The number of a failed release is given out again.
    ReusesRevision, "nomad#3052";
    /// The name of an instance that is still going is given to a new one.
    ReusesNameOfTheGoing, "kubernetes#59848";
    /// The history is trimmed of the release that serves.
    TrimsLastGood, "helm#4978";
    /// After a loss of memory the newest release that runs is taken for good.
    AdoptsNewest, "swarmkit#1380, which keeps the previous spec and not the last good one";
    /// A share of the traffic that was given and never saved is taken back, to be earned again.
    TakesStepBack, "trueup itself, by a test of its own that failed once in nine";
    /// A canary of whole instances takes requests from those that serve, to be next to nobody's share.
    SharesBelowCapacity, "trueup itself, by a pair of crashes";
    /// A rollout begins before what it depends on is ready.
    IgnoresDependencies, "Docker Compose, whose depends_on waited for a start only";
    /// What is suspended is changed all the same.
    IgnoresSuspend, "tools that heal what a person has stopped on purpose";
    /// What was cut off with its host is run once more, though half of it may be done.
    RunsHookAgain, "Kubernetes Jobs, whose program may be started twice";
    /// A hook that somebody removed while it ran counts as done.
    TakesGoneHookForDone, "helm#8146";
    /// What was to be left running when its manifest goes is deleted.
    DeletesOrphans, "kubectl delete, which cascades unless told to orphan";
    /// A long life does not clear the count of exits: one crash a month ends in the longest wait.
    NeverForgivesExits, "argo-cd#21599";
    /// A crash loop is started again at once, each time.
    CrashLoopsHot, "systemd units with RestartSec=0 and no start limit";
    /// A platform that says when to come back is asked sooner.
    IgnoresRetryAfter, "clients of rate-limited platforms that pause for a fixed time";

    // What the driver does.
    /// A target that cannot be seen is taken for an empty one.
    TakesErrorForEmpty, "argo-cd#15058";
    /// A place that failed is left out of a survey, and the rest is taken for the whole.
    TakesPartForWhole, "argo-cd#14090";
    /// Only events make it look: what no event tells is never repaired.
    LooksOnlyAtEvents, "Sieve: edge-triggered reconciliation, an unobserved state";
    /// What is asked for during a look is forgotten.
    ForgetsAskDuringLook, "client-go, hence the dirty set of its workqueue";
    /// Two looks at one app overlap.
    OverlapsLooks, "client-go, hence the processing set of its workqueue";
    /// While edits keep coming, routine looks never have their turn.
    StarvesRoutine, "priority queues without ageing";
    /// The record is saved after the steps: a crash between leaves instances that nobody remembers.
    SavesAfterActing, "Sieve: a crash between create and record";
    /// The health of an instance's last life counts for the next one.
    KeepsHealthOfLastLife, "supervisors that keep the state of a check across a restart";
    /// One bad answer of a probe is enough to fail.
    FailsAtFirstAnswer, "load balancers with an unhealthy threshold of 1";
    /// Every app whose manifest is gone goes at once, however many they are.
    DeletesInMasses, "GitOps tools whose prune has no bound";
    /// The first table after a restart holds only the app that changed.
    ForgetsOthersRoutes, "ingress controllers that configure themselves before their caches are full";
    /// Who was not routed when it was looked at is stopped, though another app's table has brought its routes back since.
    StopsWhatCameBack, "trueup itself, by a seed of its own proof";
    /// What an ingress did not take goes out with another app's table, when the world is another.
    TellsWhatWasNotTaken, "trueup itself, by a seed of its own proof";
    /// The drain of one that goes is counted from the first time that it was out of the table, though it was routed since.
    CountsOldDrain, "trueup itself, by a seed of its own proof";
    /// What waited while an ingress gave no answer is told afterwards, when the world is another.
    TellsWhatWaited, "trueup itself, by a seed of its own proof";
    /// A table on its way, of which nobody knows whether it will land, is taken for one that never will.
    ForgetsWhatMayLand, "trueup itself, by a seed of its own proof";
    /// A number that memory forgot is given to another table, which is taken for the one that was found under it.
    ReusesTableNumber, "trueup itself, by a seed of its own proof";
    /// Who may not go yet is looked at again at once, for as long as a slow ingress takes, and no time is left for anything else.
    LooksAgainAtOnce, "trueup itself, by a seed of its own proof";
    /// Memory that went back forgets what an app needs: what is left running keeps it for ever.
    ForgetsNeeds, "trueup itself, by a seed of its own proof";
    /// Memory is believed about where an app lives, though the live table names what it never made.
    TrustsOlderMemory, "trueup itself, by a seed of its own proof";
    /// After a loss of memory tables are numbered from the beginning, and refused as old ones.
    RestartsTableNumbers, "etcd#16028";
    /// As many rollouts begin as are asked for.
    IgnoresRolloutCap, "CrowdStrike, July 2024: one update to every host at once";
    /// The place of a rollout that has ended is not given back.
    LeaksRolloutPlace, "argo-workflows#4870";
    /// A daemon that is started again does not know who rolls, and lets another begin beside them.
    ForgetsRolloutPlaces, "argo-workflows#10286";
    /// The wall clock is read anew at each start: a step of it moves every deadline.
    TrustsWallClock, "Cloudflare's DNS at the leap second of 2017";
    /// Events are kept without a bound.
    KeepsAllEvents, "Kubernetes events that filled etcd";

    // What the source sees.
    /// A file counts as soon as it is seen, half written as it may be.
    ReadsHalfWritten, "watchers that read a file at its first event";
    /// A file has changed only when its time or its size has.
    TrustsModificationTime, "kubernetes#24215";
    /// The swap of a symlink, as Kubernetes writes a ConfigMap, goes unseen.
    MissesSymlinkSwap, "viper#284";
    /// An emptied directory means that every app is gone.
    TrustsEmptyRoot, "sync tools on a volume that was not mounted";
    /// The event that says that events were lost has no path, and is dropped.
    DropsPathlessRescan, "buck2#1453, zed#59591, pants#11734";
    /// Nothing is read again without an event.
    TrustsEventsAlone, "file watchers on network file systems";
    /// A file that no longer parses takes its apps along.
    ForgetsLastGood, "reloads that drop what no longer parses";
    /// A manifest that cannot be read is taken for one that is gone.
    TakesGapForAbsence, "argo-cd#14090";
    /// One listing without an app is enough to call it gone.
    DeletesAtFirstMiss, "editors that save by removing and renaming";
    /// Two apps hold one route, and the last to be written wins.
    SharesRoute, "rancher#12514";

    // What the store remembers.
    /// A store that was put back to an earlier day is believed.
    BelievesOldStore, "etcd#16028; Sieve: time travel";
    /// A record is acknowledged before it is written.
    AcknowledgesUnwritten, "sled#1452";
    /// What was taken down and is looked at once more is remembered as if it had never been.
    ForgetsWhatIsDown, "trueup itself, by somebody who read it";
    /// A word that could not be saved, and was refused, is carried out.
    ObeysRefusedWord, "trueup itself, by somebody who read it";
    /// A commit takes a lock that is one for all the engines of a process.
    CommitsUnderOneLock, "sled: the lock of a batch, and who sleeps with it";
    /// That memory was lost is said once, and forgotten by the next restart.
    TellsLossOnce, "Sieve: the intermediate states of a recovery";

    /// A manifest that said to leave its app alone takes that along when it goes, and its app with it.
    ForgetsWrittenSuspend, "trueup itself, by somebody who read it";
    /// A new app takes its way in from one that still has it.
    TakesHeldRoute, "trueup itself, by somebody who read it";
    /// The way back is judged by the routes that the manifest wants, and not by those of the release that is gone back to.
    AsksWantedRoutes, "trueup itself, by somebody who read it";
    /// One port's name is looked for in all releases, be it that one of them names it otherwise.
    TakesOnePortForAll, "trueup itself, by somebody who read it";
    /// Whether two may stand side by side is asked of the manifest, and not of the release that is gone back to.
    ForgetsWhoseDisk, "trueup itself, by somebody who read it";
    /// A good instance is started again on a disk that one of a rollout that was given up still owns.
    StartsSecondOwner, "trueup itself, found by seed 53901";
    /// The way back of an app without ways in hangs, and as all of it counts as serving it is left to hang, and the bake with it.
    KeepsHungWorker, "trueup itself, found by seed 345820";
    /// Of an app without ways in a good one that hangs is started again and again, in the room that a new one needs.
    RestartsHungBeforeNew, "trueup itself, found by seed 742077";
    /// A target refuses another instance of a release that was good, and is asked for it again four times a second.
    RetriesRefusedHot, "trueup itself, by somebody who read it";
    /// What a new instance waited for its health before its host went down counts after that, and a good release is rejected.
    BlamesForLostHost, "trueup itself, by somebody who read it";
    /// One that cannot be started is tried first at every look, and whatever comes after it is never tried at all.
    RefusedStartStarves, "trueup itself, by somebody who read it";
    /// An edit waits for as long as the release before it had come to wait after its failures, and is rejected for it.
    BackoffOutlivesRelease, "trueup itself, by somebody who read it";
    /// A release under watch loses an instance that its target then refuses, and is watched for ever.
    BakesRefused, "trueup itself, by somebody who read it";
    /// A start that answers with an error keeps nobody waiting but itself: it was made, a late listing hides it, and another
    /// is made in its place.
    FreesUncertainPlace, "trueup itself, found by seed 270497";

    // What a manifest says.
    /// Of a key that is written twice the last one counts, without a word.
    TakesLastDuplicate, "kubernetes#14791";
    /// A mistyped key is ignored.
    IgnoresUnknownKeys, "Kubernetes before server-side field validation";
    /// Apps that wait for each other in a circle are accepted, and wait for ever.
    AcceptsCircles, "kustomize-controller#1712";

    // What the edge routes.
    /// A route table older than the live one is accepted.
    AcceptsOlderTable, "Amazon DynamoDB's DNS in us-east-1, October 2025";
}
