//! Alert rules, alerts and their deliveries, and whose turn it is to watch.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_catalog::{AlertLimits, Catalog, Entry, NewDelivery, SentAlert, Settlement};
use sluice_domain::{AlertCondition, AlertRule, AlertSeverity, DeliveryState, Finding};

use crate::samples::{Lake, namespaces, page};

fn limits() -> AlertLimits {
    AlertLimits { repeats_after: Utc::now() - TimeDelta::hours(1), waiting: 100, kept: 100 }
}

fn finding(subject: &str, occurrence: &str) -> Finding {
    Finding {
        rule: "pipeline-failure".parse().unwrap(),
        subject: subject.into(),
        namespace: subject.split_once('.').map(|(namespace, _)| namespace.parse().unwrap()),
        occurrence: occurrence.into(),
        alert_type: "Pipeline Failure".into(),
        severity: AlertSeverity::Critical,
        message: "it failed: \u{202e}'; DROP TABLE alerts".into(),
    }
}

fn to(channel: &str) -> NewDelivery {
    NewDelivery { channel: channel.into(), refusal: None }
}

async fn raise(catalog: &Catalog, finding: &Finding, channels: &[&str]) -> Option<SentAlert> {
    let deliveries: Vec<_> = channels.iter().map(|channel| to(channel)).collect();
    catalog.alerts().raise(finding, &deliveries, limits()).await.unwrap()
}

fn soon() -> DateTime<Utc> {
    Utc::now() + TimeDelta::minutes(1)
}

#[tokio::test]
async fn an_alert_is_raised_once_in_its_window_and_once_for_an_occurrence() {
    let lake = Lake::open().await;
    let raised = raise(&lake.catalog, &finding("etl", "1"), &["slack"]).await.unwrap();
    assert_eq!(raised.deliveries[0].state, DeliveryState::Waiting);
    assert_eq!(raise(&lake.catalog, &finding("etl", "2"), &["slack"]).await, None, "within the window");
    assert!(raise(&lake.catalog, &finding("other", "1"), &[]).await.is_some(), "another subject");
    let no_window = AlertLimits { repeats_after: Utc::now() + TimeDelta::hours(1), ..limits() };
    let again = lake.catalog.alerts().raise(&finding("etl", "1"), &[], no_window).await.unwrap();
    assert_eq!(again, None, "the same occurrence");
    let next = lake.catalog.alerts().raise(&finding("etl", "2"), &[], no_window).await.unwrap();
    assert!(next.is_some(), "another occurrence after the window");
}

#[tokio::test]
async fn an_alert_that_is_over_stands_for_no_other_one() {
    let lake = Lake::open().await;
    let alerts = lake.catalog.alerts();
    let resolve = async |subject: &str, before: &str| {
        alerts.resolve(&"pipeline-failure".parse().unwrap(), subject, before).await.unwrap()
    };
    raise(&lake.catalog, &finding("nyc.flights", "1"), &["slack"]).await.unwrap();
    assert_eq!(resolve("nyc.flights", "1").await, 0, "it is of this occurrence, not of an earlier one");
    assert_eq!(resolve("nyc.taxis", "2").await, 0, "another subject");
    assert_eq!(resolve("nyc.flights", "3").await, 1);
    assert_eq!(resolve("nyc.flights", "3").await, 0, "it is over already");
    assert_eq!(raise(&lake.catalog, &finding("nyc.flights", "1"), &[]).await, None, "the same occurrence");
    assert_eq!(raise(&lake.catalog, &finding("nyc.flights", "2"), &[]).await, None, "what was over before");
    assert!(raise(&lake.catalog, &finding("nyc.flights", "4"), &[]).await.is_some(), "another one, at once");
    let lake = lake.reopen().await;
    let listed = lake.catalog.alerts().list(None, None, &page(9, None)).await.unwrap().items;
    let over: Vec<bool> = listed.iter().map(|sent| sent.alert.resolved_at.is_some()).collect();
    assert_eq!(over, [false, true]);
}

#[tokio::test]
async fn alerts_are_listed_newest_first_with_their_deliveries_to_whom_may_see_them() {
    let lake = Lake::open().await;
    for subject in ["nyc.flights", "hr.staff", "etl"] {
        raise(&lake.catalog, &finding(subject, "1"), &["email", "slack"]).await.unwrap();
    }
    let alerts = lake.catalog.alerts();
    let first = alerts.list(None, None, &page(2, None)).await.unwrap();
    let subjects: Vec<_> = first.items.iter().map(|sent| sent.alert.finding.subject.as_str()).collect();
    assert_eq!(subjects, ["etl", "hr.staff"]);
    assert!(first.items.iter().all(|sent| sent.deliveries.len() == 2));
    let rest = alerts.list(None, None, &page(2, first.next)).await.unwrap();
    assert_eq!(rest.items[0].alert.finding, finding("nyc.flights", "1"));
    let seen = alerts.list(Some(&namespaces(&["nyc"])), None, &page(9, None)).await.unwrap();
    assert_eq!(seen.items.len(), 1);
    let of_one = alerts.list(None, Some("hr.staff"), &page(9, None)).await.unwrap();
    assert_eq!(of_one.items.len(), 1);
    assert_eq!(alerts.list(Some(&[]), None, &page(9, None)).await.unwrap().items, []);
}

#[tokio::test]
async fn a_delivery_is_claimed_by_one_and_comes_again_until_it_is_settled() {
    let lake = Lake::open().await;
    raise(&lake.catalog, &finding("etl", "1"), &["slack", "email"]).await.unwrap();
    let alerts = lake.catalog.alerts();
    let claimed = alerts.claim("slack", soon(), 10).await.unwrap();
    let [(delivery, alert)] = &claimed[..] else { panic!("{claimed:?}") };
    assert_eq!((delivery.channel.as_str(), delivery.attempts), ("slack", 1));
    assert_eq!(alert.finding, finding("etl", "1"));
    assert_eq!(alerts.claim("slack", soon(), 10).await.unwrap(), [], "it is claimed");

    let again = Settlement::Again(Utc::now() - TimeDelta::seconds(1), "503".into());
    alerts.settle(delivery.id, 1, &again).await.unwrap();
    let lake = lake.reopen().await;
    let alerts = lake.catalog.alerts();
    let due = alerts.claim("slack", Utc::now() - TimeDelta::seconds(1), 10).await.unwrap();
    assert_eq!((due[0].0.attempts, due[0].0.detail.as_deref()), (2, Some("503")));
    // Whoever claimed it was killed: its claim has run out.
    let due = alerts.claim("slack", soon(), 10).await.unwrap();
    assert_eq!(due[0].0.attempts, 3);
    alerts.settle(due[0].0.id, 2, &Settlement::GivenUp("late".into())).await.unwrap();
    alerts.settle(due[0].0.id, 3, &Settlement::Delivered).await.unwrap();
    let settled = &alerts.list(None, None, &page(9, None)).await.unwrap().items[0].deliveries[1];
    assert_eq!((settled.state, settled.attempts), (DeliveryState::Delivered, 3));
    assert!(settled.settled_at.is_some());
    assert_eq!(alerts.claim("email", soon(), 10).await.unwrap().len(), 1, "the other channel goes its own way");
}

#[tokio::test]
async fn two_servers_never_claim_the_same_delivery() {
    let servers = Lake::open_many(2).await;
    for number in 0..20 {
        raise(&servers[0], &finding(&format!("etl{number}"), "1"), &["slack"]).await.unwrap();
    }
    let claims: Vec<_> = servers
        .iter()
        .cloned()
        .map(|server| tokio::spawn(async move { server.alerts().claim("slack", soon(), 15).await.unwrap() }))
        .collect();
    let mut claimed = Vec::new();
    for claim in claims {
        claimed.extend(claim.await.unwrap().into_iter().map(|(delivery, _)| delivery.id.0));
    }
    claimed.sort();
    let all = claimed.len();
    claimed.dedup();
    assert_eq!((all, claimed.len()), (20, 20));
}

#[tokio::test]
async fn waiting_and_kept_alerts_are_bounded() {
    let lake = Lake::open().await;
    let alerts = lake.catalog.alerts();
    let small = AlertLimits { waiting: 3, kept: 2, ..limits() };
    for number in 0..6 {
        let deliveries = [to("slack")];
        alerts.raise(&finding(&format!("etl{number}"), "1"), &deliveries, small).await.unwrap();
    }
    let all = alerts.list(None, None, &page(100, None)).await.unwrap().items;
    let states: Vec<_> = all.iter().map(|sent| sent.deliveries[0].state).collect();
    let (failed, waiting) = (DeliveryState::Failed, DeliveryState::Waiting);
    assert_eq!(states, [failed, failed, waiting, waiting, waiting], "what waits is kept, and two more");
    assert!(all[0].deliveries[0].detail.as_deref().unwrap().contains("wait"));
}

#[tokio::test]
async fn what_goes_to_an_unknown_channel_is_given_up_and_told() {
    let lake = Lake::open().await;
    raise(&lake.catalog, &finding("etl", "1"), &["pigeon", "slack"]).await.unwrap();
    let alerts = lake.catalog.alerts();
    assert_eq!(alerts.give_up_unknown(&["slack".into(), "email".into()]).await.unwrap(), 1);
    assert_eq!(alerts.give_up_unknown(&["slack".into()]).await.unwrap(), 0);
    let deliveries = alerts.list(None, None, &page(9, None)).await.unwrap().items.remove(0).deliveries;
    assert_eq!((deliveries[0].channel.as_str(), deliveries[0].state), ("pigeon", DeliveryState::Failed));
    assert!(deliveries[0].detail.as_deref().unwrap().contains("no such channel"));
    assert_eq!(deliveries[1].state, DeliveryState::Waiting);
}

#[tokio::test]
async fn alert_rules_are_as_said_last_and_bounded() {
    let lake = Lake::open().await;
    let rules = lake.catalog.alert_rules();
    let rule = |name: &str, threshold| AlertRule {
        name: name.parse().unwrap(),
        condition: AlertCondition::FailureRate,
        threshold,
        severity: AlertSeverity::Warning,
        channels: vec!["slack".into()],
        pipeline: None,
        namespace: None,
        tag: None,
        min_rule_severity: None,
        enabled: true,
    };
    assert_eq!(rules.define(&rule("b", None), "ada", 1).await.unwrap(), Entry::Made);
    assert_eq!(rules.define(&rule("a", None), "ada", 1).await.unwrap(), Entry::TooMany);
    assert_eq!(rules.define(&rule("b", Some(12.5)), "ada", 1).await.unwrap(), Entry::Changed);
    assert_eq!(rules.list().await.unwrap(), [rule("b", Some(12.5))]);
    assert!(rules.forget(&"b".parse().unwrap()).await.unwrap());
    assert!(!rules.forget(&"b".parse().unwrap()).await.unwrap());
}

#[tokio::test]
async fn one_server_watches_until_its_turn_is_over() {
    let servers = Lake::open_many(2).await;
    let take = async |server: &Catalog, until| server.watches().take_turn("runs", until).await.unwrap();
    assert_eq!(take(&servers[0], soon()).await, Some(None));
    assert_eq!(take(&servers[1], soon()).await, None, "it is another's turn");
    let watermark = "2026-01-31T12:00:00.123456Z".parse().unwrap();
    servers[1].watches().advance("runs", watermark).await.unwrap();
    assert_eq!(take(&servers[0], soon()).await, Some(None), "only who has the turn moves the mark");
    servers[0].watches().advance("runs", watermark).await.unwrap();
    assert_eq!(take(&servers[0], Utc::now() - TimeDelta::seconds(1)).await, Some(Some(watermark)));
    assert_eq!(take(&servers[1], soon()).await, Some(Some(watermark)), "the turn was over");
}
