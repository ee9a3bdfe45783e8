//! A reload: the plan is made by `config`, refused or applied here.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::Speaker;
use super::answer::Reloads;
use super::drain;
use super::start;
use crate::config::{Config, Plan, Problem};
use crate::control::show::{Plan as ShownPlan, PlannedChange};
use crate::control::{Failure, Response};

/// How a reload is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReloadWish {
    /// Apply nothing.
    pub(super) dry_run: bool,
    /// Refuse a plan that resets a session.
    pub(super) no_reset: bool,
    /// Go back after so long unless it is confirmed.
    pub(super) confirm: Option<Duration>,
}

impl Speaker {
    /// Reads the configuration again; an invalid one changes nothing.
    pub(super) async fn reload(&mut self, file: Option<&Path>, wish: ReloadWish) -> Response {
        let ReloadWish {
            dry_run,
            no_reset,
            confirm,
        } = wish;
        if self.unconfirmed.is_some() && !dry_run {
            let text = "the last reload waits for `stonechat confirm`; until then, or until it has been undone, there is no other";
            return Response::Failed(Failure::Other {
                text: text.to_owned(),
            });
        }
        let path = file.unwrap_or(&self.rooms.facts.config);
        let loaded = match start::load(path) {
            Ok(loaded) => loaded,
            Err(error) => {
                let text = error.to_string();
                if !dry_run {
                    self.note(
                        |reloads| reloads.refused += 1,
                        "refused: the configuration is wrong",
                    );
                }
                return Response::Failed(Failure::Configuration { text });
            }
        };
        let plan = Plan::new(&self.config, loaded.config);
        let mut shown = show(&plan, &loaded.warnings);
        if dry_run {
            return Response::Plan(shown);
        }
        if file.is_some() {
            let text = String::from(
                "another file can only be planned; the daemon reloads the one it was started with",
            );
            return Response::Failed(Failure::Other { text });
        }
        if no_reset && plan.resets().next().is_some() {
            self.note(|reloads| reloads.refused += 1, "refused: sessions would be reset");
            return Response::Failed(Failure::WouldReset(shown));
        }
        plan.settle_places();
        if plan.is_empty() {
            self.note(|reloads| reloads.unchanged += 1, "nothing changes");
        } else {
            let changes = plan.changes.len();
            if let Some(time) = confirm {
                self.unconfirmed = Some((Instant::now() + time, self.config.clone()));
                shown.confirm_s = Some(time.as_secs());
            }
            self.apply(plan).await;
            self.note(
                |reloads| reloads.applied += 1,
                &format!("{changes} changes applied"),
            );
        }
        shown.applied = true;
        Response::Plan(shown)
    }

    /// What was applied for the time being stays.
    pub(super) fn confirm(&mut self) -> Response {
        if self.unconfirmed.take().is_none() {
            let text = String::from("no reload waits to be confirmed");
            return Response::Failed(Failure::Other { text });
        }
        self.note(|_| {}, "confirmed");
        tracing::info!("the reload is confirmed");
        let text = String::from("confirmed: what runs stays");
        Response::Done { text }
    }

    /// Nobody confirmed: what ran before runs again. The file stays as it is.
    pub(super) async fn go_back(&mut self) {
        let Some((_, before)) = self.unconfirmed.take() else {
            return;
        };
        let plan = Plan::new(&self.config, before);
        for change in &plan.changes {
            tracing::warn!(what = %change.what, "undone: the reload was not confirmed");
        }
        plan.settle_places();
        self.apply(plan).await;
        self.note(
            |reloads| reloads.undone += 1,
            "undone: it was not confirmed; the file says something else than what runs",
        );
    }

    async fn apply(&mut self, plan: Plan) {
        let Plan {
            originate,
            aggregates,
            vips,
            kernel,
            log_level,
            result,
            ..
        } = plan;
        if log_level && let Err(error) = self.telemetry.set_level(&result.speaker.log_level) {
            tracing::error!(%error, "the log level stays");
        }
        self.telemetry
            .set_format(start::format(result.speaker.log_format));
        self.http.serve(result.speaker.http);
        if originate {
            self.originator.reconfigure(result.originate.clone());
        }
        let decision = |config: &Config| (config.speaker.always_compare_med, config.speaker.decision);
        let (always_compare_med, options) = decision(&result);
        if decision(&self.config) != (always_compare_med, options) {
            self.rooms.rib.decision(always_compare_med, options).await;
        }
        if aggregates {
            self.originator.set_aggregates(result.aggregates.clone());
            self.rooms.rib.aggregates(start::rules(&result)).await;
        }
        let tables = start::tables(&result, &self.originator);
        let moved = tables != self.tables;
        if originate || kernel || moved {
            self.tables.clone_from(&tables);
            self.rooms.kernel.reconfigure(result.kernel.clone(), tables).await;
        }
        if originate || kernel || moved || aggregates {
            self.discard().await;
        }
        if let Some(settings) = result.kernel.as_ref().filter(|_| kernel) {
            self.originator.set_own_protocol(settings.protocol);
            self.rooms.rib.multipath(settings.multipath).await;
        }
        if vips {
            self.rooms.vips.reconfigure(result.vips.clone());
        }
        self.announce().await;
        // Equal peers are left alone; a filter that changed is in the settings of those that use it.
        let peers = drain::peers(&self.rooms.drains.lock(), &result.peers);
        self.rooms.shutdowns.retain(&result.peers);
        self.rooms.sessions.apply(self.rooms.shutdowns.over(peers)).await;
        self.config = result;
    }

    fn note(&self, count: impl FnOnce(&mut Reloads), text: &str) {
        let mut reloads = self.rooms.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut reloads);
        reloads.last = Some(text.to_owned());
    }
}

fn show(plan: &Plan, warnings: &[Problem]) -> ShownPlan {
    let changes = plan.changes.iter().map(|change| PlannedChange {
        what: change.what.clone(),
        effect: change.effect.to_string(),
    });
    ShownPlan {
        changes: changes.collect(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        applied: false,
        confirm_s: None,
    }
}
