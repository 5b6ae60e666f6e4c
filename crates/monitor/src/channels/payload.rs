//! What is sent: the shapes that Slack, PagerDuty and mailboxes ask for.

use chrono::SecondsFormat;
use serde_json::{Value, json};
use sluice_domain::{Alert, AlertSeverity};

/// What every channel tells of an alert.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    alert_type: String,
    severity: AlertSeverity,
    message: String,
    timestamp: String,
}

impl Payload {
    pub(crate) fn of(alert: &Alert) -> Self {
        let finding = &alert.finding;
        Self {
            alert_type: finding.alert_type.clone(),
            severity: finding.severity,
            message: finding.message.clone(),
            timestamp: alert.created_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        }
    }

    pub(crate) fn plain(&self) -> Value {
        json!({
            "alert_type": self.alert_type,
            "severity": self.severity.as_str(),
            "message": self.message,
            "timestamp": self.timestamp,
        })
    }

    pub(crate) fn slack(&self) -> Value {
        let field = |title: &str, value: &str, short: bool| json!({"title": title, "value": value, "short": short});
        json!({
            "attachments": [{
                "color": color(self.severity),
                "title": self.subject(),
                "fields": [
                    field("Alert Type", &self.alert_type, true),
                    field("Timestamp", &self.timestamp, true),
                    field("Message", &self.message, false),
                ],
            }],
        })
    }

    pub(crate) fn pagerduty(&self, routing_key: &str) -> Value {
        json!({
            "routing_key": routing_key,
            "event_action": "trigger",
            "payload": {
                "summary": format!("Data Pipeline Alert: {}", self.alert_type),
                "source": "data-pipeline-monitor",
                "severity": self.severity.as_str().to_lowercase(),
                "custom_details": {"message": self.message, "timestamp": self.timestamp},
            },
        })
    }

    /// The title in Slack, and the subject of an e-mail.
    pub(crate) fn subject(&self) -> String {
        format!("Data Pipeline Alert - {}", self.severity)
    }

    pub(crate) fn text(&self) -> String {
        self.rows().map(|(name, value)| format!("{name}: {value}\r\n")).concat()
    }

    pub(crate) fn html(&self) -> String {
        let rows = self.rows().map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escaped(value)));
        format!("<h2>{}</h2><table border=\"1\">{}</table>", self.subject(), rows.concat())
    }

    fn rows(&self) -> [(&'static str, &str); 4] {
        [
            ("Alert Type", &self.alert_type),
            ("AlertSeverity", self.severity.as_str()),
            ("Timestamp", &self.timestamp),
            ("Message", &self.message),
        ]
    }
}

fn color(severity: AlertSeverity) -> &'static str {
    match severity {
        AlertSeverity::Critical => "#ff0000",
        AlertSeverity::Warning => "#ffaa00",
        AlertSeverity::Info => "#0066cc",
    }
}

/// A text that HTML shows as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sluice_domain::Finding;
    use uuid::Uuid;

    use super::*;

    fn payload(severity: AlertSeverity, message: &str) -> Payload {
        Payload::of(&Alert {
            id: Uuid::from_u128(1),
            finding: Finding {
                rule: "pipeline-failure".parse().unwrap(),
                subject: "daily_etl".into(),
                namespace: None,
                occurrence: "1".into(),
                alert_type: "Pipeline Failure".into(),
                severity,
                message: message.into(),
            },
            created_at: "2026-01-31T12:00:00Z".parse().unwrap(),
            resolved_at: None,
        })
    }

    #[test]
    fn every_channel_gets_the_shape_that_it_asks_for() {
        let payload = payload(AlertSeverity::Critical, "it failed");
        assert_eq!(
            payload.plain(),
            json!({"alert_type": "Pipeline Failure", "severity": "CRITICAL", "message": "it failed",
                "timestamp": "2026-01-31T12:00:00.000000Z"})
        );
        assert_eq!(
            payload.slack(),
            json!({"attachments": [{"color": "#ff0000", "title": "Data Pipeline Alert - CRITICAL", "fields": [
                {"title": "Alert Type", "value": "Pipeline Failure", "short": true},
                {"title": "Timestamp", "value": "2026-01-31T12:00:00.000000Z", "short": true},
                {"title": "Message", "value": "it failed", "short": false}]}]})
        );
        assert_eq!(
            payload.pagerduty("key"),
            json!({"routing_key": "key", "event_action": "trigger", "payload": {
                "summary": "Data Pipeline Alert: Pipeline Failure", "source": "data-pipeline-monitor",
                "severity": "critical",
                "custom_details": {"message": "it failed", "timestamp": "2026-01-31T12:00:00.000000Z"}}})
        );
    }

    #[rstest]
    #[case(AlertSeverity::Critical, "#ff0000")]
    #[case(AlertSeverity::Warning, "#ffaa00")]
    #[case(AlertSeverity::Info, "#0066cc")]
    fn slack_shows_how_bad_it_is(#[case] severity: AlertSeverity, #[case] color: &str) {
        assert_eq!(payload(severity, "x").slack()["attachments"][0]["color"], color);
    }

    #[test]
    fn what_stands_in_a_message_is_no_html() {
        let html = payload(AlertSeverity::Warning, "<script>alert('x')</script> & \"y\"").html();
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;"), "{html}");
        assert!(!html.contains("<script>"));
    }
}
